"""The deaths that are drawn: the same ones for a seed, and in time every process, phase and signal."""

from __future__ import annotations

from tests.trust import deaths
from tests.trust.deaths import OURS, PLATFORM, SIGNALS, drawn


def test_a_longer_figure_begins_with_the_shorter() -> None:
    assert drawn(14, 100)[:15] == drawn(14, 15)
    assert drawn(14, 15) != drawn(15, 15)


def test_everything_is_drawn_in_time() -> None:
    found = drawn(14, 1000)
    assert {one.process for one in found} == {*OURS, *PLATFORM}
    assert {(one.process, one.phase) for one in found} >= {(name, phase) for name in OURS for phase in OURS[name]}
    assert {one.signal for one in found} == set(SIGNALS)
    assert {one.experiment for one in found} == set(deaths.EXPERIMENTS)


def test_only_what_there_is_can_die() -> None:
    for one in drawn(14, 1000):
        assert one.phase in OURS.get(one.process, deaths.RUNNING)
        assert one.process != ("fault-proxy" if one.external else "proxy-keeper")

"""The shape of the load: pure functions of the scenario and the user's index."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario import Arrivals
from harness.swarm.users.arrivals import AT_T0, arrival

RUN_S = 60.0
ramps = st.floats(0.5, RUN_S)
crowds = st.integers(1, 600)


def times(arrivals: Arrivals, users: int, first: int = 0) -> list[float]:
    return [arrival(arrivals, index, RUN_S).after_s for index in range(first, first + users)]


def test_a_step_is_everybody_at_t0() -> None:
    assert {arrival(Arrivals(), index, RUN_S) for index in range(100)} == {AT_T0}


def test_waves_are_equal_and_each_comes_together() -> None:
    arrivals = Arrivals(shape="waves", waves_s=(0.0, 10.0, 25.0))
    everybody = [arrival(arrivals, index, RUN_S) for index in range(300)]
    assert Counter(one.after_s for one in everybody) == {0.0: 100, 10.0: 100, 25.0: 100}
    assert all(one.together for one in everybody)


@given(users=crowds, ramp_s=ramps, first=st.integers(0, 10_000), at=st.floats(0, 1))
def test_a_ramp_is_even_at_every_moment_and_for_every_worker(users: int, ramp_s: float, first: int, at: float) -> None:
    """However the indices are cut into workers, at no moment is anybody's share far from the straight line."""
    came = sum(t_s <= at * ramp_s for t_s in times(Arrivals(shape="ramp", ramp_s=ramp_s), users, first))
    assert came == pytest.approx(at * users, abs=6)


@given(users=crowds, ratio=st.floats(0, 1))
def test_the_hum_has_its_share_and_the_others_keep_the_shape(users: int, ratio: float) -> None:
    everybody = [arrival(Arrivals(hum_ratio=ratio), index, RUN_S) for index in range(users)]
    humming = [one for one in everybody if not one.together]
    assert len(humming) == pytest.approx(users * ratio, abs=1)
    assert all(0.0 < one.after_s < RUN_S for one in humming)
    assert all(one == AT_T0 for one in everybody if one.together)


def test_the_hum_goes_on_through_the_whole_run() -> None:
    humming = sorted(t_s for t_s in times(Arrivals(hum_ratio=0.25), 800) if t_s)
    gaps = [after - before for before, after in pairwise(humming)]
    assert len(humming) == 200
    assert max(gaps) < 4 * RUN_S / 200


@given(users=crowds, ratio=st.floats(0, 1), hum=st.sampled_from([0.0, 0.1]))
def test_a_late_surge_has_its_share_and_comes_rather_at_its_beginning(users: int, ratio: float, hum: float) -> None:
    arrivals = Arrivals(surge_ratio=ratio, surge_at_s=20.0, surge_s=4.0, hum_ratio=hum)
    everybody = [arrival(arrivals, index, RUN_S) for index in range(users)]
    late = [one for one in everybody if 20.0 <= one.after_s <= 24.0 and not one.together]
    assert len(late) == pytest.approx((1 - hum) * users * ratio, abs=2 + hum * users * 0.2)
    assert sum(one == AT_T0 for one in everybody) == pytest.approx((1 - hum) * users * (1 - ratio), abs=2)
    early = sum(one.after_s <= 21.0 for one in late)
    assert early >= len(late) * 0.4 - 3

"""The page on a platform of one's own, followed word for word from an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.record.verdict import UNAUDITED, Decision, Status
from tests.e2e import rehearsals
from tests.e2e.tutorial import OWN_PLATFORM, Reader, blocks

pytestmark = pytest.mark.e2e
ADAPTER_LINES_MAX = 120


@pytest.fixture(scope="module")
def reader(room: Path) -> Iterator[Reader]:
    somebody = Reader(room)
    try:
        for block in blocks(OWN_PLATFORM):
            somebody.follow(block)
        yield somebody
    finally:
        somebody.leave()


def run_of(reader: Reader, name: str) -> Path:
    return rehearsals.only_run(reader.folder / "runs" / name)


def test_every_block_is_of_a_language_that_is_followed() -> None:
    assert {block.language for block in blocks(OWN_PLATFORM)} == {"sh", "python", "yaml", "csv", "html"}


def test_the_adapter_that_grows_on_the_page_is_short(reader: Reader) -> None:
    assert len((reader.folder / "myshop.py").read_text().splitlines()) <= ADAPTER_LINES_MAX


def test_the_honest_shop_is_ready(reader: Reader) -> None:
    assert rehearsals.verdict(run_of(reader, "first")).verdict is Decision.READY


def test_selling_more_than_the_rules_say_is_found(reader: Reader) -> None:
    judged = rehearsals.verdict(run_of(reader, "oversold"))
    assert [one.name for one in judged.invariants if one.status is Status.VIOLATED] == ["no_oversell"]


def test_the_faults_were_proven_and_healed(reader: Reader) -> None:
    faults = rehearsals.verdict(run_of(reader, "finals")).faults
    assert [(fault.experiment, fault.proven) for fault in faults] == [("cut-front", True), ("stop-web", True)]


def test_a_locustfile_alone_gets_no_verdict_and_says_why(reader: Reader) -> None:
    assert rehearsals.verdict(run_of(reader, "script")).reason == UNAUDITED
    assert rehearsals.verdict(run_of(reader, "seen")).grade == "B"


def test_a_journey_of_ones_own_is_audited(reader: Reader) -> None:
    judged = rehearsals.verdict(run_of(reader, "hurried"))
    assert {one.name: one.status for one in judged.invariants}["bought_as_told"] is Status.HELD

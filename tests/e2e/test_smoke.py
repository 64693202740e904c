"""The page on the first ten minutes, followed word for word: a rehearsal, a finding, and a fix."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.record.reader import Record
from harness.record.verdict import Decision, Status
from tests.e2e import rehearsals
from tests.e2e.rehearsals import Rehearsed
from tests.e2e.tutorial import FIRST_REHEARSAL, Reader, blocks

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def reader(room: Path) -> Reader:
    somebody = Reader(room)
    for block in blocks(FIRST_REHEARSAL):
        somebody.follow(block)
    return somebody


@pytest.fixture(scope="module")
def smoke(reader: Reader) -> Rehearsed:
    [(line, said)] = [(line, said) for line, said in reader.said.items() if "runs/first" in line]
    done = subprocess.CompletedProcess(line, 0, said, "")
    return Rehearsed(done, rehearsals.only_run(reader.folder / "runs" / "first"), reader.folder / "tmp")


def test_what_the_page_breaks_is_found_and_what_it_mends_is_ready(reader: Reader) -> None:
    broken = rehearsals.verdict(rehearsals.only_run(reader.folder / "runs" / "broken"))
    assert (broken.verdict, broken.grade) == (Decision.NOT_READY, "F")
    [lost] = [result for result in broken.invariants if result.name == "no_lost_booking"]
    assert lost.status is Status.VIOLATED
    assert lost.violations[0].history
    mended = rehearsals.verdict(rehearsals.only_run(reader.folder / "runs" / "mended"))
    assert mended.verdict is Decision.READY


def test_it_ends_with_a_verdict_that_the_exit_code_repeats(smoke: Rehearsed) -> None:
    verdict = rehearsals.verdict(smoke.run)
    expected = {Decision.READY: 0, Decision.NOT_READY: 1}
    assert smoke.done.returncode == expected[verdict.verdict], smoke.done.stderr
    assert smoke.done.stdout.startswith(verdict.verdict)
    assert f"{Path(*smoke.run.parts[-3:])}/report.html" in smoke.done.stdout
    assert verdict.grade is not None


def test_every_fault_was_proven_and_healed(smoke: Rehearsed) -> None:
    faults = rehearsals.verdict(smoke.run).faults
    assert [fault.experiment for fault in faults] == ["redis-down"]
    assert all(fault.proven and fault.healed_s is not None for fault in faults)


def test_every_expectation_was_put_to_the_test_whoever_happened_to_look(smoke: Rehearsed) -> None:
    (fault,) = rehearsals.verdict(smoke.run).faults
    assert {one.name: one.status for one in fault.expectations if one.status != "met"} == {}
    assert min(one.chances for one in fault.expectations) > 0
    requests = Record.open(smoke.run).table("requests").to_pandas()
    probed = requests[requests["kind"] == "probe"]
    during = probed[probed["t_start_s"].between(fault.t_start_s, fault.t_end_s)]
    assert len(during[during["step"] == "seat_map"]) >= 10
    assert set(during[during["step"] == "hold"]["status"]) == {503}


def test_every_request_is_accounted_for(smoke: Rehearsed) -> None:
    load = rehearsals.verdict(smoke.run).load
    assert load is not None
    assert load.users_asked == load.users_armed == load.users_released == 140
    assert load.requests_sent == load.samples_recorded > 1_000


def test_seven_invariants_held_over_what_really_happened(smoke: Rehearsed) -> None:
    invariants = {result.name: result for result in rehearsals.verdict(smoke.run).invariants}
    assert set(invariants) >= {
        "no_double_sell", "no_lost_booking", "seat_conservation", "money_reconciles", "no_leaked_hold", "queue_order",
        "feed_gap_free",
    }  # fmt: skip
    assert {result.status for result in invariants.values()} == {Status.HELD}
    assert all(result.operations_checked > 0 for result in invariants.values())


def test_the_invariants_of_orders_and_money_were_put_to_the_test(smoke: Rehearsed) -> None:
    chances = {result.name: result.chances for result in rehearsals.verdict(smoke.run).invariants}
    names = ("no_double_sell", "no_lost_booking", "no_lost_order", "money_reconciles", "charged_as_shown",
             "one_key_one_purchase", "purchase_limit")  # fmt: skip
    assert {name: chances[name] for name in names if not chances[name]} == {}
    assert chances["one_key_one_purchase"] > 3  # more than the keys that are tried again at rest
    assert chances["purchase_limit"] > 1


def test_causes_hops_and_stories_could_be_told(smoke: Rehearsed) -> None:
    verdict = rehearsals.verdict(smoke.run)
    assert [cause.sentence for cause in verdict.causes if not cause.of] == []
    assert verdict.hops
    assert verdict.stories


def test_every_artefact_is_there(smoke: Rehearsed) -> None:
    record = Record.open(smoke.run)
    assert record.run.complete
    assert all(
        record.has(name) for name in ("requests", "operations", "events", "metrics", "final_seats", "final_orders")
    )
    page = (smoke.run / "report.html").read_text()
    assert "redis-down" in page
    assert "<svg" in page
    assert (smoke.run / "report.md").read_text().strip()
    suites = ElementTree.parse(smoke.run / "junit.xml").getroot()
    assert len(list(suites.iter("testcase"))) > 10
    assert not (smoke.run / "swarm.json").exists()


def test_nothing_is_left_behind(smoke: Rehearsed) -> None:
    assert rehearsals.processes_of(smoke.run, smoke.temporary) == []
    assert list(smoke.temporary.iterdir()) == []


def test_the_record_alone_gives_the_same_verdict_again(smoke: Rehearsed) -> None:
    before = rehearsals.verdict(smoke.run)
    again = rehearsals.run(smoke.temporary, "report", str(smoke.run))
    assert again.returncode == smoke.done.returncode, again.stderr
    after = rehearsals.verdict(smoke.run)
    assert (after.verdict, after.score, after.slis) == (before.verdict, before.score, before.slis)


def test_the_gate_gives_the_same_exit_code(smoke: Rehearsed) -> None:
    gate = rehearsals.run(smoke.temporary, "gate", str(smoke.run))
    assert gate.returncode == smoke.done.returncode, gate.stderr

"""A paired run on paper: the same on-sale without its faults, and with them."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from harness.paired import added, compare, in_words, is_paired, left_out
from harness.record.reader import Record
from harness.record.verdict import Decision, Paired, PairedRow, Status, Validity, Verdict
from tests.builders import RunBuilder
from tests.reports import verdicts

SIZE = {"fans": 120, "admission_rate_per_s": 3.0, "rows_per_section": 8}


@pytest.fixture(scope="module")
def control() -> Record:
    return RunBuilder(faulty=False, **SIZE).record()


@pytest.fixture(scope="module")
def treatment() -> Record:
    return RunBuilder(**SIZE).record()


@pytest.fixture(scope="module")
def paired(control: Record, treatment: Record) -> Paired:
    return compare(control, judged(control), treatment, judged(treatment), "control")


def judged(record: Record) -> Verdict:
    verdict = verdicts.ready(record)
    generator = replace(verdict.generator, validity=Validity.VALID, reasons=())
    return replace(verdict, generator=generator, faults=tuple(replace(f, proven=True) for f in verdict.faults))


def row(rows: tuple[PairedRow, ...], name: str) -> PairedRow:
    return next(each for each in rows if each.name == name)


def effects(found: PairedRow, fault: str) -> dict[str, str]:
    return {part.phase: part.delta.effect for part in found.phases if part.fault == fault}


def test_what_a_fault_breaks_is_worse_while_it_is_in_force_and_alike_before(paired: Paired) -> None:
    assert effects(row(paired.indicators, "error_ratio"), "redis-down") == {
        "before": "none", "during": "worse", "after": "none",
    }  # fmt: skip
    assert effects(row(paired.indicators, "pay_response_p50_ms"), "payment-latency-8s")["during"] == "worse"
    assert effects(row(paired.steps, "hold_not_ok"), "redis-down")["during"] == "worse"


def test_every_fault_has_its_phases(paired: Paired) -> None:
    assert [phase.fault for phase in paired.phases if phase.phase == "during"] == [
        "redis-down", "db-unreachable", "payment-latency-8s", "websocket-drops",
    ]  # fmt: skip
    assert {phase.phase for phase in paired.phases} == {"before", "during", "after"}


def test_a_row_of_the_whole_run_is_the_indicator_of_each_run(paired: Paired) -> None:
    whole = row(paired.indicators, "error_ratio").whole
    assert whole.control == 0.0
    assert whole.treatment is not None
    assert whole.delta == whole.treatment - 0.0 > 0
    figure = row(paired.indicators, "queue_depth_max").whole
    assert (figure.low, figure.effect) == (None, "unknown")
    assert figure.note


def test_what_was_made_worse_is_watched_until_it_is_back(paired: Paired) -> None:
    back = {(each.fault, each.indicator): each for each in paired.recoveries}
    errors = back["redis-down", "error_ratio"]
    assert (errors.status, errors.recovery_s) == ("recovered", 0.0)
    assert all(each.status in ("recovered", "not_recovered", "unknown") for each in paired.recoveries)


def test_sales_are_behind_while_faults_last_and_few_are_lost(paired: Paired) -> None:
    sales = paired.sales
    assert sales is not None
    assert sales.lost == sales.control - sales.treatment
    assert sales.most_behind > sales.lost
    assert sales.late == sales.most_behind - max(0, sales.lost)
    assert sales.lost_low is not None
    assert sales.lost_low <= sales.lost <= sales.lost_high


def test_a_run_against_itself_shows_nothing(control: Record) -> None:
    found = compare(control, judged(control), control, judged(control), "control")
    assert {each.whole.effect for each in (*found.indicators, *found.steps, *found.retries)} <= {"none", "unknown"}
    assert found.sales is not None
    assert (found.sales.lost, found.sales.most_behind, found.sales.late) == (0, 0, 0)
    assert found.recoveries == found.phases == found.cautions == ()


def test_retries_count_to_the_operation_that_was_intended(control: Record) -> None:
    builder = RunBuilder(**SIZE)
    for again in [dict(each) for each in builder.tables["requests"] if each["step"] == "hold"]:
        builder.tables["requests"].append(again | {"attempt": 2, "seq": 10**6 + int(str(again["seq"]))})
    record = builder.record()
    found = compare(control, judged(control), record, judged(record), "control")
    holds = row(found.retries, "hold_attempts").whole
    assert (holds.control, holds.treatment, holds.effect) == (1.0, 2.0, "worse")


def test_what_an_objective_was_missed_by(control: Record, treatment: Record) -> None:
    def met(verdict: Verdict, *values: bool) -> Verdict:
        slis = [sli for sli in verdict.slis if sli.objective is not None]
        return replace(verdict, slis=tuple(replace(sli, met=v) for sli, v in zip(slis, values, strict=False)))

    alone, both = met(judged(control), True, False, True), met(judged(treatment), False, False, True)
    causes = compare(control, alone, treatment, both, "control").causes
    assert [cause.cause for cause in causes] == ["faults", "spike", "none"]


@pytest.mark.parametrize("half", ["control", "treatment"])
def test_a_half_without_a_verdict_leaves_the_differences_out_and_says_so(
    control: Record, treatment: Record, half: str
) -> None:
    halves = {"control": judged(control), "treatment": judged(treatment)}
    halves[half] = replace(halves[half], verdict=Decision.NO_VERDICT, reason="The record is incomplete.")
    found = compare(control, halves["control"], treatment, halves["treatment"], "control")
    assert found.left_out == f"the {half} gave no verdict: The record is incomplete."
    assert found.indicators == found.phases == ()
    verdict = added(judged(treatment), found, {})
    assert any("cannot be told" in finding.title for finding in verdict.findings)
    assert any("cannot be told" in line for line in in_words(found))


def test_an_invalid_generator_and_an_unproven_fault_leave_them_out_too(control: Record, treatment: Record) -> None:
    good = judged(treatment)
    invalid = replace(judged(control), generator=replace(good.generator, validity=Validity.INVALID, reasons=("lag",)))
    assert "not valid: lag" in compare(control, invalid, treatment, good, "control").left_out
    unproven = replace(good, faults=(replace(good.faults[0], proven=False),))
    assert "never proven" in compare(control, judged(control), treatment, unproven, "control").left_out


def test_what_weakens_a_comparison_is_said(control: Record, treatment: Record) -> None:
    alone = judged(control)
    weak = replace(
        alone,
        generator=replace(alone.generator, validity=Validity.DEGRADED, reasons=("lag",)),
        invariants=tuple(replace(result, status=Status.VIOLATED) for result in alone.invariants[:1]),
    )
    other = RunBuilder(faulty=False, **SIZE).changed(journey_digest="00" * 32).record()
    found = compare(other, weak, treatment, judged(treatment), "control")
    assert not found.matched
    assert len(found.cautions) == 3


def test_halves_that_differ_before_the_first_fault_are_said_to(treatment: Record) -> None:
    builder = RunBuilder(faulty=False, **SIZE)
    for each in (*builder.tables["requests"], *builder.tables["operations"]):
        each["t_intended_s"] = float(str(each["t_intended_s"])) - 2.0
    slow = builder.record()
    found = compare(slow, judged(slow), treatment, judged(treatment), "control")
    assert any(caution.startswith("Before the first fault") for caution in found.cautions)


def test_the_control_s_files_count_among_those_that_the_verdict_rests_on(treatment: Record) -> None:
    verdict = added(judged(treatment), left_out("control", "gone"), {"run.json": "ab"})
    assert verdict.record["control/run.json"] == "ab"


def test_a_run_is_paired_when_it_was_asked_to_be_even_if_its_control_is_gone(treatment: Record) -> None:
    assert not is_paired(treatment)
    assert is_paired(RunBuilder().changed(command=("gatecrash", "rehearse", "--paired")).record())
    alone = RunBuilder().changed(command=("gatecrash", "rehearse", "--paired"), run_id="a-run/control").record()
    assert not is_paired(alone)


def test_it_survives_verdict_json(paired: Paired) -> None:
    assert msgspec.json.decode(msgspec.json.encode(paired), type=Paired) == paired

"""Scores, letters, caps and the one word, at their boundaries and in their order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit import INVARIANTS, audit
from harness.errors import ExitCode, InputError
from harness.judging.gate import exit_code
from harness.judging.grade import grade, letter_of, points
from harness.record.reader import Record
from harness.record.schema import Anomaly, CrashSummary
from harness.record.verdict import UNAUDITED, Decision, ExpectationResult, FaultResult, Status, Validity, Verdict
from harness.scenario import Journeys, Load, Objective, PlannedFault
from harness.sli import measure
from tests.builders import RunBuilder
from tests.paper_stock import StockSale

OF_SEATS = sum(not one.only_of for one in INVARIANTS.values())
"""Invariants that are not about pools alone."""


def verdict(builder: RunBuilder, **changes: object) -> Verdict:
    """Judge it; `changes` are to the scenario, `faults` to the fault results."""
    faults = changes.pop("faults_judged", builder.fault_results())
    if changes:
        scenario = msgspec.structs.replace(builder.scenario(), **changes)
        builder.changed(scenario=msgspec.to_builtins(scenario, str_keys=True))
    record = builder.record()
    return grade(record, measure(record), audit(record), faults)


def scored(*scores: float) -> dict[str, Objective]:
    """Objectives on indicators with a sample, so placed that they score just this."""
    builder = RunBuilder()
    values = {
        i.name: i.value for i in measure(builder.record()) if i.name.startswith(("pay_", "hold_response", "join_"))
    }
    chosen = list(values.items())[: len(scores)]
    assert len(chosen) == len(scores)
    return {name: _objective(float(value or 0.0), score) for (name, value), score in zip(chosen, scores, strict=True)}


def _objective(value: float, score: float) -> Objective:
    """On a scale of 1,000 ms from target to worst."""
    target = value - 10.0 * (100.0 - score)
    return Objective(target=target, worst=target + 1000.0)


@pytest.mark.parametrize(
    ("value", "target", "worst", "score"),
    [
        (400, 500, 1000, 100.0),
        (500, 500, 1000, 100.0),
        (750, 500, 1000, 50.0),
        (1000, 500, 1000, 0.0),
        (2000, 500, 1000, 0.0),
        (0.9, 0.9, 0.5, 100.0),
        (0.7, 0.9, 0.5, 50.0),
        (0.5, 0.9, 0.5, 0.0),
        (1.0, 0.9, 0.5, 100.0),
    ],
)
def test_points_fall_on_a_straight_line_from_target_to_worst(
    value: float, target: float, worst: float, score: float
) -> None:
    assert points(value, target, worst) == pytest.approx(score)


@given(value=st.floats(-1e9, 1e9), target=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), down=st.booleans())
def test_points_stay_between_0_and_100(value: float, target: float, width: float, down: bool) -> None:
    assert 0.0 <= points(value, target, target - width if down else target + width) <= 100.0


@pytest.mark.parametrize(
    ("score", "letter"),
    [
        (100, "A"),
        (90, "A"),
        (89.999, "B"),
        (80, "B"),
        (79.999, "C"),
        (70, "C"),
        (69.999, "D"),
        (60, "D"),
        (59.999, "F"),
        (0, "F"),
    ],
)
def test_letters_begin_at_their_round_figures(score: float, letter: str) -> None:
    assert letter_of(score) == letter


def test_a_clean_run_is_ready() -> None:
    result = verdict(RunBuilder())
    assert (result.verdict, result.grade, result.score, exit_code(result)) == (
        Decision.READY,
        "A",
        100.0,
        ExitCode.READY,
    )
    assert result.reason == (
        f"Grade A (100 of 100): {OF_SEATS} invariants held, 4 of 4 objectives met, 4 faults proven and healed."
    )


def test_the_score_is_the_mean_of_the_objectives_and_the_minimum_grade_decides() -> None:
    result = verdict(RunBuilder(), objectives=scored(100, 60), minimum_grade="B")
    assert (result.verdict, result.grade, result.score) == (Decision.READY, "B", pytest.approx(80.0))
    assert [sli.met for sli in result.slis if sli.objective is not None] == [True, False]
    result = verdict(RunBuilder(), objectives=scored(100, 58), minimum_grade="B")
    assert (result.verdict, result.grade, exit_code(result)) == (Decision.NOT_READY, "C", ExitCode.NOT_READY)
    assert result.reason == "Grade C (79 of 100), below the minimum of B."


def test_an_objective_at_its_worst_is_not_ready_whatever_the_mean() -> None:
    objectives = scored(100, 100, 100, 100, -1)  # just beyond
    result = verdict(RunBuilder(), objectives=objectives, minimum_grade="C")
    assert (result.verdict, result.grade) == (Decision.NOT_READY, "B")
    assert "beyond the worst allowed" in result.reason
    relaxed = {name: msgspec.structs.replace(o, required=False) for name, o in objectives.items()}
    assert verdict(RunBuilder(), objectives=relaxed).verdict is Decision.READY


@pytest.mark.parametrize("required", [True, False])
def test_a_required_objective_without_samples_gives_no_verdict(required: bool) -> None:
    builder = RunBuilder(faulty=False)
    builder.tables["metrics"] = []  # so the hits of the cache were not seen
    objectives = scored(100) | {"cache_hit_ratio": Objective(target=0.9, worst=0.1, required=required)}
    result = verdict(builder, objectives=objectives)
    unseen = next(sli for sli in result.slis if sli.name == "cache_hit_ratio")
    assert (unseen.met, unseen.score, unseen.samples) == (None, None, 0)
    assert result.verdict is (Decision.NO_VERDICT if required else Decision.READY)
    assert (result.grade, result.score) == ((None, None) if required else ("A", 100.0))


def test_what_only_a_fault_gives_samples_is_not_required_without_faults() -> None:
    objectives = scored(100) | {"reconnect_recovery_p95_s": Objective(target=2, worst=10)}
    result = verdict(RunBuilder(faulty=False), objectives=objectives)  # nothing was planned, nobody was cut off
    assert (result.verdict, result.grade) == (Decision.READY, "A")
    [unseen] = [sli for sli in result.slis if sli.name == "reconnect_recovery_p95_s"]
    assert (unseen.value, unseen.required) == (None, False)
    planned = (PlannedFault(experiment="websocket-drops", start_s=2),)
    broken = msgspec.structs.replace(RunBuilder().scenario(), objectives=objectives, faults=planned)
    assert broken.objectives_judged == objectives


def test_a_violated_invariant_is_f_and_exit_4_even_when_the_run_is_otherwise_in_doubt() -> None:
    builder = RunBuilder().double_sell()
    for row in builder.tables["generator"]:
        row["loop_lag_ms_p99"] = 5000.0
    result = verdict(builder)
    assert result.generator
    assert result.generator.validity is Validity.INVALID
    assert (result.verdict, result.grade) == (Decision.NOT_READY, "F")
    assert result.score == 100.0
    assert exit_code(result) == ExitCode.INVARIANT_VIOLATED
    assert result.reason.startswith("Violated: no seat is sold twice (1 found; first: seat")


def test_a_required_invariant_that_cannot_be_seen_gives_no_verdict() -> None:
    shown = ("feed", "order_export", "queue", "seat_map")
    result = verdict(RunBuilder(capabilities=shown), invariants=("money_reconciles",))
    assert (result.verdict, result.grade, exit_code(result)) == (Decision.NO_VERDICT, None, ExitCode.NO_VERDICT)
    assert "Could not be decided: orders and charges agree to the cent" in result.reason
    assert verdict(RunBuilder(capabilities=shown)).grade == "A"  # nobody asked for it: a finding, no cap


def test_an_invariant_that_could_have_been_seen_and_was_not_gives_no_verdict() -> None:
    builder = RunBuilder()
    builder.tables["final_seats"].clear()
    result = verdict(builder)
    assert (result.verdict, result.grade) == (Decision.NO_VERDICT, None)
    assert [reason.text for reason in result.reasons] == [
        "Could not be decided: no seat appears or vanishes (the seat map could not be read at rest).",
        "Could not be decided: no hold stays after its time (the seat map could not be read at rest).",
    ]
    assert all(reason.action for reason in result.reasons)


def changed(result: Verdict, name: str, builder: RunBuilder, **changes: object) -> Verdict:
    """The verdict of the same run in which one invariant came out otherwise."""
    record = builder.record()
    invariants = tuple(
        msgspec.structs.replace(one, **changes) if one.name == name else one for one in result.invariants
    )
    return grade(record, measure(record), invariants, result.faults)


def test_an_invariant_that_was_not_put_to_the_test_holds_the_grade_at_b() -> None:
    builder = RunBuilder()
    untested = changed(verdict(builder), "purchase_limit", builder, status=Status.NOT_EXERCISED, chances=0)
    assert (untested.verdict, untested.grade, untested.score) == (Decision.READY, "B", 100.0)
    assert untested.reason.startswith(
        "100 by its objectives, held at B because purchase_limit was not put to the test (identities at their limit"
    )
    assert [one.text.partition(" (")[0] for one in untested.held_at] == ["purchase_limit was not put to the test"]
    assert f"{OF_SEATS - 1} invariants held" in untested.reason


def test_a_fault_may_make_an_invariant_undecidable_if_its_file_says_why() -> None:
    builder = RunBuilder()
    clean = verdict(builder)
    assert changed(clean, "queue_order", builder, status=Status.UNKNOWN).verdict is Decision.NO_VERDICT
    first, *others = clean.faults
    excusing = msgspec.structs.replace(first, makes_undecidable={"queue_order": "the line is lost"})
    excused = msgspec.structs.replace(clean, faults=(excusing, *others))
    result = changed(excused, "queue_order", builder, status=Status.UNKNOWN)
    assert (result.verdict, result.grade) == (Decision.READY, "B")
    assert [one.text for one in result.held_at] == ["redis-down makes queue_order undecidable: the line is lost"]
    assert changed(excused, "admission_rate", builder, status=Status.UNKNOWN).verdict is Decision.NO_VERDICT


def test_a_platform_that_did_not_come_to_rest_gives_no_verdict_and_no_violation() -> None:
    builder = RunBuilder().changed(at_rest=False, unrest=("80 orders still pending",))
    builder.tables["final_seats"][0]["state"] = "held"
    result = verdict(builder)
    assert (result.verdict, exit_code(result)) == (Decision.NO_VERDICT, ExitCode.NO_VERDICT)
    leaked = next(one for one in result.invariants if one.name == "no_leaked_hold")
    assert (leaked.status, leaked.violations) == (Status.UNKNOWN, ())
    assert leaked.note == "the platform did not come to rest: 80 orders still pending"


def test_a_part_that_died_on_its_own_leaves_the_platform_without_rest() -> None:
    death = Anomaly(t_s=1.0, source="worker", text="worker died on its own: it exited with code 3", is_death=True)
    builder = RunBuilder().changed(anomalies=(death,))
    builder.tables["final_seats"][0]["state"] = "held"
    result = verdict(builder)
    assert (result.verdict, exit_code(result)) == (Decision.NO_VERDICT, ExitCode.NO_VERDICT)
    assert death.text in result.reason


@pytest.mark.parametrize(("crashed", "decision"), [(0, "READY"), (1, "NO VERDICT")])
def test_crashed_journeys_give_no_verdict_and_name_the_place(crashed: int, decision: str) -> None:
    builder = RunBuilder()
    crash = CrashSummary(where="shop.py:41", what="KeyError: 'x'", kind="fan", step="venue", count=crashed)
    builder.changed(load=msgspec.structs.replace(builder.run.load, crashes=(crash,) if crashed else ()))
    result = verdict(builder)
    assert result.verdict == decision
    if crashed:
        assert result.reason == "1 of 66 journeys crashed: KeyError: 'x', at shop.py:41."
        assert "shop.py:41" in result.reasons[0].action


def test_one_crash_of_two_thousand_journeys_is_a_finding_only() -> None:
    builder = RunBuilder()
    crash = CrashSummary(where="shop.py:41", what="KeyError: 'x'", kind="fan", step="venue", count=1)
    builder.changed(load=msgspec.structs.replace(builder.run.load, crashes=(crash,), users_released=2000))
    result = verdict(builder, load=Load(fans=2000))
    assert result.verdict is Decision.READY
    assert any("crashed at shop.py:41" in finding.title for finding in result.findings)


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("join", "60 fans came and nobody got a place in line"),
        ("enter", "60 fans waited and nobody was admitted"),
        ("hold", "60 fans were let in and nobody could hold a seat"),
        ("pay", "fans wanted to pay and nobody was told that they have a ticket"),
    ],
)
def test_a_sale_that_did_not_take_place_is_not_ready(function: str, sentence: str) -> None:
    builder = RunBuilder(faulty=False)
    failing = {function} | ({"order"} if function == "pay" else set())  # who could not pay has no order to look up
    for row in builder.tables["operations"]:
        if row["function"] in failing:
            row |= {"outcome": "fail", "error": "status"}
    record = builder.record()
    result = grade(record, measure(record), (), builder.fault_results())
    assert (result.verdict, exit_code(result)) == (Decision.NOT_READY, ExitCode.NOT_READY)
    assert result.reason.startswith("The sale did not take place:")
    assert sentence in result.reason


@pytest.mark.parametrize(
    ("functions", "sentence"),
    [
        (None, "requests of fans were answered, and the record has no operation of a fan"),
        (("enter",), "requests of fans to enter were answered, and the record has no such operation"),
        (("pay", "order"), "requests of fans to pay were answered, and the record has no such operation"),
    ],
)
def test_answered_requests_whose_operations_nobody_recorded_give_no_verdict(
    functions: tuple[str, ...] | None, sentence: str
) -> None:
    builder = RunBuilder(faulty=False)
    kept = [row for row in builder.tables["operations"] if functions and row["function"] not in functions]
    builder.tables["operations"] = [row | {"op": number} for number, row in enumerate(kept)]
    record = builder.record()
    result = grade(record, measure(record), (), builder.fault_results())
    assert (result.verdict, exit_code(result)) == (Decision.NO_VERDICT, ExitCode.NO_VERDICT)
    assert sentence in result.reason


def test_requests_that_nobody_answered_show_by_themselves_that_no_sale_took_place() -> None:
    builder = RunBuilder(faulty=False)
    builder.tables["operations"] = []
    for row in builder.tables["requests"]:
        row |= {"outcome": "unknown", "error": "refused", "status": 0}
    record = builder.record()
    result = grade(record, measure(record), (), builder.fault_results())
    assert result.verdict is Decision.NOT_READY
    assert "60 fans came and nobody got a place in line" in result.reason


def test_a_degraded_generator_is_b_at_best() -> None:
    builder = RunBuilder()
    builder.tables["generator"][10]["loop_lag_ms_p99"] = 150.0
    result = verdict(builder)
    assert (result.verdict, result.grade) == (Decision.READY, "B")


def judged(builder: RunBuilder, **changes: object) -> tuple[FaultResult, ...]:
    first, *others = builder.fault_results()
    return (msgspec.structs.replace(first, **changes), *others)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"proven": False}, "The fault redis-down was never proven: its canary saw no effect."),
        ({"proven": False, "error": "no such proxy"}, "The fault redis-down was never proven: no such proxy."),
        ({"healed_s": None}, "The fault redis-down was never seen healed: its canary saw no recovery."),
        ({"experiment": "another"}, "The fault redis-down was planned but never carried out."),
    ],
)
def test_a_fault_that_cannot_be_relied_on_gives_no_verdict(changes: dict[str, object], reason: str) -> None:
    builder = RunBuilder()
    result = verdict(builder, faults_judged=judged(builder, **changes))
    assert (result.verdict, result.grade, result.score) == (Decision.NO_VERDICT, None, None)
    assert result.reason == reason
    assert exit_code(result) == ExitCode.NO_VERDICT


@pytest.mark.parametrize(
    ("status", "decision", "letter"),
    [
        ("met", "READY", "A"),
        ("missed", "NOT READY", "C"),
        ("unknown", "NO VERDICT", None),
        ("not_exercised", "READY", "B"),
    ],
)
def test_an_expectation_decides_by_its_status(status: str, decision: str, letter: str | None) -> None:
    expectation = ExpectationResult(name="recovers", status=status, observed="9.1 s", expected="within 5 s")
    builder = RunBuilder()
    result = verdict(builder, faults_judged=judged(builder, expectations=(expectation,)))
    assert (result.verdict, result.grade) == (Decision(decision), letter)
    if status == "missed":
        assert result.reason == "redis-down: expected within 5 s, observed 9.1 s."


def test_an_invalid_generator_gives_no_verdict() -> None:
    builder = RunBuilder()
    builder.tables["generator"].clear()
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert result.reason == "The load generator was not valid: its own health was not recorded."


def test_nothing_to_grade_by_gives_no_verdict() -> None:
    result = verdict(RunBuilder(), objectives={})
    assert result.verdict is Decision.NO_VERDICT
    assert "nothing to grade by" in result.reason


def test_samples_that_do_not_add_up_give_no_verdict_even_over_a_violation() -> None:
    builder = RunBuilder().double_sell()
    load = builder.run.load
    builder.changed(load=msgspec.structs.replace(load, samples_recorded=load.samples_recorded - 1))
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    sent = load.requests_sent
    assert f"{sent:,} requests were sent but {sent - 1:,} samples recorded." == result.reason
    builder = RunBuilder()
    builder.tables["requests"].pop()
    assert "samples were recorded but" in verdict(builder).reason


def test_an_incomplete_record_gives_no_verdict() -> None:
    anomaly = Anomaly(t_s=None, source="events", text="never finished: 12 rows were read")
    result = verdict(RunBuilder().changed(complete=False, anomalies=(anomaly,)))
    assert result.verdict is Decision.NO_VERDICT
    assert result.reason == "The record is incomplete: events: never finished: 12 rows were read."


def test_a_run_that_released_nobody_gives_no_verdict() -> None:
    assert verdict(RunBuilder().changed(load=None)).reason == "The run released nobody."


def test_a_record_whose_scenario_is_none_is_bad_input() -> None:
    with pytest.raises(InputError, match="is no scenario"):
        verdict(RunBuilder().changed(scenario={"name": 7}))


def test_the_same_record_gives_the_same_verdict_and_names_its_files(tmp_path: Path) -> None:
    builder = RunBuilder(fans=20)
    paths = builder.write(tmp_path)
    verdicts = []
    for _ in range(2):
        record = Record.open(paths.root)
        verdicts.append(grade(record, measure(record), audit(record), builder.fault_results()))
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].record == Record.open(paths.root).digest()
    assert msgspec.json.decode(msgspec.json.encode(verdicts[0]), type=Verdict) == verdicts[0]


@pytest.mark.parametrize(("left_out", "best"), [((), "A"), (("order_export",), "B")])
def test_a_platform_whose_orders_no_operator_shows_is_b_at_best(left_out: tuple[str, ...], best: str) -> None:
    """An adapter could have made up what fans were told: nothing else was seen of it."""
    sale = StockSale()
    sale.changed(capabilities=tuple(set(sale.run.capabilities) - set(left_out)))
    judged = verdict(sale)
    assert (judged.verdict, judged.grade) == (Decision.READY, best)
    assert any("shows no export of its orders" in cap.text for cap in judged.held_at) == (best == "B")


LOCUSTFILE = Journeys(locustfile="locustfile.py")
FEW_ERRORS = {"error_ratio": Objective(target=0.9, worst=1.0)}


def test_without_an_adapter_the_required_audit_was_not_seen() -> None:
    judged = verdict(RunBuilder(), journeys=LOCUSTFILE, objectives=FEW_ERRORS, faults=())
    assert (judged.verdict, judged.reason) == (Decision.NO_VERDICT, UNAUDITED)
    assert {result.status for result in judged.invariants} == {Status.NOT_OBSERVABLE}


def test_without_an_adapter_what_needs_no_audit_is_b_at_best() -> None:
    judged = verdict(RunBuilder(), journeys=LOCUSTFILE, objectives=FEW_ERRORS, faults=(), audit="none")
    assert (judged.verdict, judged.grade, judged.unaudited) == (Decision.READY, "B", UNAUDITED)
    assert [cap.text for cap in judged.held_at] == [UNAUDITED.rstrip(".")]


def test_without_an_adapter_what_was_seen_to_fail_decides() -> None:
    worst = {"error_ratio": Objective(target=-2.0, worst=-1.0)}
    judged = verdict(RunBuilder(), journeys=LOCUSTFILE, objectives=worst, faults=(), faults_judged=())
    assert (judged.verdict, judged.unaudited) == (Decision.NOT_READY, UNAUDITED)


@pytest.mark.parametrize(
    "changes",
    [{"objectives": {"of_another_version": Objective(target=1.0, worst=2.0)}}, {"invariants": ("of_another_version",)}],
    ids=["objective", "invariant"],
)
def test_a_scenario_of_another_version_that_requires_what_this_one_does_not_know(changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        verdict(RunBuilder(), **changes)
    assert refused.value.exit_code is ExitCode.BAD_INPUT
    assert "names 'of_another_version', which this version of gatecrash does not know" in str(refused.value)
    assert "\n" not in str(refused.value)

from harness.paired.phases import phases
from harness.record.schema import FaultRun


def fault(name: str, start_s: float | None, end_s: float | None, *, seen: bool = True) -> FaultRun:
    return FaultRun(
        experiment=name, component="redis", kind="refuse", injector="toxiproxy", hypothesis="", runbook="",
        t_requested_s=start_s, t_effective_s=start_s + 0.1 if seen and start_s is not None else None,
        t_heal_requested_s=end_s, t_healed_s=end_s + 0.1 if seen and end_s is not None else None, proven=seen,
    )  # fmt: skip


def told(*faults: FaultRun) -> list[tuple[str, str, float, float]]:
    return [(phase.fault, phase.phase, phase.t_from_s, phase.t_to_s) for phase in phases(faults, 30.0)]


def test_after_one_fault_is_before_the_next() -> None:
    assert told(fault("b", 15.0, 20.0, seen=False), fault("a", 5.0, 10.0, seen=False)) == [
        ("a", "before", 0.0, 5.0),
        ("a", "during", 5.0, 10.0),
        ("a", "after", 10.0, 15.0),
        ("b", "before", 10.0, 15.0),
        ("b", "during", 15.0, 20.0),
        ("b", "after", 20.0, 30.0),
    ]


def test_during_is_from_when_it_was_asked_for_until_the_canary_saw_it_healed() -> None:
    assert told(fault("a", 5.0, 10.0))[1] == ("a", "during", 5.0, 10.1)


def test_where_another_fault_is_in_force_there_is_no_before_and_no_after() -> None:
    assert told(fault("long", 5.0, 20.0, seen=False), fault("within", 8.0, 12.0, seen=False)) == [
        ("long", "before", 0.0, 5.0),
        ("long", "during", 5.0, 20.0),
        ("long", "after", 20.0, 30.0),
        ("within", "during", 8.0, 12.0),
    ]


def test_a_fault_that_never_was_has_no_phases_and_one_never_healed_lasts_to_the_end() -> None:
    assert told(fault("never", None, None)) == []
    assert told(fault("for ever", 28.0, None, seen=False)) == [
        ("for ever", "before", 0.0, 28.0),
        ("for ever", "during", 28.0, 30.0),
    ]


def test_an_experiment_that_is_carried_out_again_is_told_apart() -> None:
    again = told(fault("a", 5.0, 6.0, seen=False), fault("a", 15.0, 16.0, seen=False))
    assert [name for name, phase, *_ in again if phase == "during"] == ["a", "a (2)"]

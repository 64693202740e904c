"""Crashed journeys are counted by the place in the code, however different their messages are."""

from __future__ import annotations

from pathlib import Path

from harness.swarm.users.crashes import PLACES_MAX, CrashLog, merged, place_of


def crash(source: str, file: str, number: int = 0) -> BaseException:
    """What running this source, as if it were that file, raises."""
    try:
        exec(compile(source, file, "exec"), {"number": number})
    except Exception as error:  # noqa: BLE001 - whatever it raises
        return error
    raise AssertionError("it did not crash")


def test_two_thousand_messages_of_one_place_are_one_crash(tmp_path: Path) -> None:
    log = CrashLog()
    for number in range(2000):
        error = crash("x = 1\nraise KeyError(f'fan-{number}')", str(tmp_path / "shop.py"), number)
        log.note(error, kind="fan", step="venue")
    (found,) = log.summary()
    assert (found.where, found.count, found.kind, found.step) == (f"{tmp_path}/shop.py:2", 2000, "fan", "venue")
    assert found.what == "KeyError: 'fan-0'"


def test_a_crash_inside_the_harness_is_told_at_the_authors_line(tmp_path: Path) -> None:
    source = "from harness.amounts import number\n\nnumber('no number')"
    assert place_of(crash(source, str(tmp_path / "shop.py")).__traceback__) == f"{tmp_path}/shop.py:3"


def test_places_without_end_are_counted_together(tmp_path: Path) -> None:
    log = CrashLog()
    for number in range(PLACES_MAX + 50):
        log.note(crash("\n" * number + "raise ValueError", str(tmp_path / "shop.py")), kind="fan", step="")
    assert len(log.summary()) <= PLACES_MAX + 1
    assert sum(one.count for one in log.summary()) == PLACES_MAX + 50


def test_a_message_of_many_lines_is_one_short_line(tmp_path: Path) -> None:
    log = CrashLog()
    log.note(crash("raise ValueError('a\\n' * 100_000)", str(tmp_path / "shop.py")), kind="fan", step="")
    (found,) = log.summary()
    assert "\n" not in found.what
    assert len(found.what) <= 300


def test_the_crashes_of_workers_are_added_up(tmp_path: Path) -> None:
    logs = CrashLog(), CrashLog()
    for log, times in zip(logs, (3, 4), strict=True):
        for _ in range(times):
            log.note(crash("raise ValueError('x')", str(tmp_path / "shop.py")), kind="fan", step="venue")
    (found,) = merged(log.summary() for log in logs)
    assert found.count == 7

import io
import re

import msgspec
import pytest
from rich.console import Console

from harness.cli.live import LiveObserver, PlainObserver, observer
from harness.fault_change import FaultChange
from harness.swarm.messaging.protocol import Progress

SECOND = Progress(
    t_s=6.0,
    users_by_step={"positions": 700, "hold": 12, "done": 0},
    requests=4321,
    rps=810.4,
    p99_ms=93.2,
    outcomes={"hold ok": 40, "hold fail": 2},
)


BROKEN = FaultChange("redis-down", in_force=True, t_s=2.006)
HEALED = FaultChange("redis-down", in_force=False, t_s=4.09)


def test_no_terminal_gets_plain_lines() -> None:
    assert isinstance(observer(Console(file=io.StringIO()), 50), PlainObserver)


def test_plain_lines_tell_phase_rate_users_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainObserver(50)
    view.phase("arm", "1,000 fans")
    view.progress(SECOND, [BROKEN])
    view.progress(SECOND, [BROKEN, HEALED])
    said = capsys.readouterr()
    assert said.out == ""
    lines = [re.sub(r"^\[ *[0-9.]+ s\] ", "", line) for line in said.err.splitlines()]
    assert lines == [
        "arm: 1,000 fans",
        "fault in force: redis-down (T+2.0 s)",
        "T+6 s of 50: 4,321 requests, 810/s, p99 93 ms; users: positions 700, hold 12",
        "fault healed: redis-down (T+4.1 s)",
    ]


def test_a_terminal_gets_a_panel_with_the_fault_in_force() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    view = observer(console, 50)
    assert isinstance(view, LiveObserver)
    with view:
        view.phase("release", "1,100 users")
        view.progress(SECOND, [BROKEN])
    shown = screen.getvalue()
    for text in (
        "release",
        "T+6 s",
        "4,321 requests",
        "p99 93 ms",
        "fault in force: redis-down",
        "positions",
        "hold ok 40",
    ):
        assert text in shown


def test_both_views_say_which_half_of_a_paired_run_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    plain = observer(Console(file=io.StringIO()), 50, "control (1 of 2)")
    plain.phase("arm")
    plain.progress(SECOND, ())
    lines = [re.sub(r"^\[ *[0-9.]+ s\] ", "", line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "control (1 of 2) · arm"
    assert lines[1].startswith("control (1 of 2) · T+6 s of 50: ")
    sink = io.StringIO()
    with observer(Console(file=sink, force_terminal=True, width=90), 50, "treatment (2 of 2)") as live:
        live.phase("observe")
    assert "gatecrash · treatment (2 of 2)" in sink.getvalue()


def test_the_panel_fits_80_columns_keeps_the_order_of_the_steps_and_tells_the_next_fault() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    view = LiveObserver(console, 50, starts_s=[(14.0, "db-unreachable"), (5.0, "redis-down")])
    with view:
        view.phase("release", "1,100 users")
        view.progress(SECOND, ())
        screen.truncate(0)
        later = msgspec.structs.replace(
            SECOND, requests=123_456, p99_ms=1093.0, users_by_step={"hold": 900, "positions": 1}
        )
        view.progress(later, ())
    shown = screen.getvalue()
    assert "123,456 requests, 810/s, p99 1,093 ms" in shown
    assert "no fault in force; next: db-unreachable at T+14 s" in shown
    assert shown.index("positions") < shown.index("hold ")


def test_both_views_use_the_platforms_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    holding = msgspec.structs.replace(SECOND, users_by_step={"hold": 3}, outcomes={"hold ok": 7})
    plain = observer(Console(file=io.StringIO()), 50, names={"hold": "basket"})
    plain.progress(holding, ())
    assert "users: basket 3" in capsys.readouterr().err
    sink = io.StringIO()
    with observer(Console(file=sink, force_terminal=True, width=90), 50, names={"hold": "basket"}) as live:
        live.phase("observe")
        live.progress(holding, ())
        sink.truncate(0)
    assert "basket ok 7" in sink.getvalue()


def test_the_first_page_is_not_called_that_of_a_queue(capsys: pytest.CaptureFixture[str]) -> None:
    coming = msgspec.structs.replace(SECOND, users_by_step={"queue_page": 3})
    observer(Console(file=io.StringIO()), 50, names={}).progress(coming, ())
    assert "users: first page 3" in capsys.readouterr().err

"""`worker`, `plan`, `doctor`: commands about the machines that make the load."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli.app import app, print_json, print_table, say
from harness.cli.options import AsJson, Changes
from harness.errors import ExitCode
from harness.input_file import path_of
from harness.swarm.messaging import KEY_VARIABLE

if TYPE_CHECKING:
    from harness.swarm.calibration.capacity import Calibration

_SECONDS_MAX: Final = 1_000_000


@app.command(short_help="Join a rehearsal of another machine.")
def worker(
    master: Annotated[str, typer.Option("--master", metavar="HOST[:PORT]", help="Where the rehearsal runs.")],
    key: Annotated[
        str,
        typer.Option("--key", metavar="KEY", envvar=KEY_VARIABLE, show_envvar=True, help="The one that it shows."),
    ],
    load: Annotated[
        list[Path] | None,
        typer.Option("--load", metavar="FILE", parser=path_of, help="A file that it may use. Repeatable."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NAME", help="A variable of the environment that it may use. Repeatable."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, max=10_000, help="Processes; one per core.")
    ] = 1,
    wait_s: Annotated[
        float, typer.Option("--wait", metavar="S", min=0, max=_SECONDS_MAX, help="How long to try to join.")
    ] = 60.0,
    scenario: Annotated[str, typer.Option("--scenario", help="Only join this one.")] = "",
    changes: Changes = None,
) -> None:
    """Join a rehearsal that another machine runs with --remote-workers, and work until it ends.

    The rehearsal shows the line to paste. Of this machine it gets the files and variables that are named, and no more.

    \b
    gatecrash worker --master 10.0.0.5 --key 5a83…e1 --workers 4
    gatecrash worker --master 10.0.0.5 --key 5a83…e1 --load my_shop.py --secret MYSHOP_TOKEN
    """
    from harness.processes.machine import raise_descriptors
    from harness.swarm.joining.keyed_connection import Master
    from harness.swarm.joining.lent import Lent
    from harness.swarm.joining.reach import expected_digest
    from harness.swarm.joining.worker_machine import Call, join
    from harness.swarm.messaging.run_key import RunKey

    raise_descriptors()
    os.environ.pop(KEY_VARIABLE, None)  # the key is no business of the worker processes' children
    call = Call(
        master=Master.parse(master),
        key=RunKey.parse(key),
        lent=Lent.of(load or (), secret or ()),
        scenario=expected_digest(scenario, changes or []),
        wait_s=wait_s,
    )
    raise typer.Exit(join(call, workers, say))


@app.command(short_help="Workers and machines that a load takes.")
def plan(
    users: Annotated[int, typer.Option("--users", metavar="N", min=1, max=10_000_000, help="Fans in all.")],
    window_s: Annotated[
        float, typer.Option("--window", metavar="S", min=0.1, max=_SECONDS_MAX, help="All arrive within it.")
    ],
    scenario: Annotated[
        str, typer.Option("--scenario", help="Measure with its reference system, which shares this machine.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Measure this machine for a few seconds; say how many workers and machines like it a load takes, and why.

    \b
    gatecrash plan --users 200000 --window 30
    gatecrash plan --users 10000 --window 30 --scenario two-hundred-thousand
    """
    from harness.processes.machine import raise_descriptors
    from harness.swarm.calibration import capacity

    raise_descriptors()
    machine = capacity.this_machine()
    say("calibrating one core of this machine …")
    calibration = _calibrated_with(scenario) if scenario else capacity.calibrate()
    sizing = capacity.size(users, window_s, calibration, machine)
    if json:
        print_json(sizing)
    else:
        typer.echo("\n".join(capacity.in_words(sizing)))


def _calibrated_with(scenario: str) -> Calibration:
    """Measured with the reference system of that scenario."""
    from harness import scenario as scenarios
    from harness.stack.choice import stack_of
    from harness.swarm.calibration import capacity

    on_sale = scenarios.load(scenario).scenario.on_sale
    with tempfile.TemporaryDirectory(prefix="gatecrash-plan-") as logs, stack_of("embedded", on_sale, Path(logs)) as up:
        pids = [process.pid for process in up.processes]
        return capacity.calibrate(up.addresses.booking, up.addresses.event, pids)


@app.command(short_help="What this machine can do for a rehearsal.")
def doctor(json: AsJson = False) -> None:
    """What this machine can do for a rehearsal, and how to mend what is missing.

    \b
    gatecrash doctor
    """
    from harness.cli.doctor import examine

    checks = examine()
    if json:
        print_json(checks)
    else:
        rows = ((check.name, check.status, check.found, check.mend) for check in checks)
        print_table(("check", "status", "found", "mend"), rows)
    missing = any(check.status == "missing" for check in checks)
    raise typer.Exit(ExitCode.BAD_INPUT if missing else ExitCode.READY)

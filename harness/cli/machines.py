"""`worker`, `plan`, `doctor`: commands about the machines that make the load."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.app import app, print_json, print_table, say
from harness.cli.options import AsJson, Changes
from harness.errors import ExitCode


@app.command(short_help="Join a rehearsal of another machine.")
def worker(
    master: Annotated[str, typer.Option("--master", metavar="HOST[:PORT]", help="Where the rehearsal runs.")],
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Processes; one per core.")] = 1,
    wait_s: Annotated[float, typer.Option("--wait", metavar="S", min=0, help="How long to try to join.")] = 60.0,
    scenario: Annotated[str, typer.Option("--scenario", help="Only join this one.")] = "",
    changes: Changes = None,
) -> None:
    """Join a rehearsal that another machine runs with --remote-workers, and work until it ends.

    \b
    gatecrash worker --master 10.0.0.5 --workers 4
    """
    from harness.swarm.joining.reach import expected_digest
    from harness.swarm.joining.worker_machine import Master, join

    digest = expected_digest(scenario, changes or [])
    raise typer.Exit(join(Master.parse(master), workers, digest, wait_s, say))


@app.command(short_help="Workers and machines that a load takes.")
def plan(
    users: Annotated[int, typer.Option("--users", metavar="N", min=1, help="Fans in all.")],
    window_s: Annotated[float, typer.Option("--window", metavar="S", min=0.1, help="All arrive within it.")],
    json: AsJson = False,
) -> None:
    """Measure this machine for a few seconds; say how many workers and machines like it a load takes, and why.

    \b
    gatecrash plan --users 200000 --window 30
    """
    from harness.swarm.calibration import capacity

    say("calibrating one core of this machine …")
    sizing = capacity.size(users, window_s, capacity.calibrate(), capacity.this_machine())
    if json:
        print_json(sizing)
    else:
        typer.echo("\n".join(capacity.in_words(sizing)))


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

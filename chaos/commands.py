"""`gatecrash chaos status|heal`: what is in force on this machine, and how to undo it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from chaos import state
from harness.errors import GatecrashError

chaos_app = typer.Typer(
    help="Faults that are still in force: status, heal.", no_args_is_help=True, rich_markup_mode=None
)
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


@chaos_app.command("status")
def chaos_status(json: AsJson = False) -> None:
    """The faults that may be in force: by which run, since when, whether its keeper lives, and what undoes each.

    \b
    gatecrash chaos status
    """
    from chaos import healing

    found = healing.in_force()
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for one in found:
        since = datetime.fromtimestamp(one.since_wall_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        keeper = f"kept by process {one.keeper_pid}" if one.kept else "its keeper is dead"
        typer.echo(f"{one.experiment}: since {since}, {keeper}; to undo it: {one.undo} ({one.run})")
    if not found:
        typer.echo("nothing is in force")
    if (switch := state.kill_switch()).exists():
        typer.echo(f"the kill switch is set: no rehearsal starts until {switch} is removed")


@chaos_app.command("heal")
def chaos_heal(
    everything: Annotated[
        bool, typer.Option("--all", help="Also what a rehearsal that still runs has broken; it gets no verdict then.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Undo what dead rehearsals left in force. Touches only what their journals own; safe to do twice.

    \b
    gatecrash chaos heal
    """
    from chaos import healing

    outcomes = healing.heal_all("heal", kept_too=everything)
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(outcomes), indent=2).decode())
    else:
        for outcome in outcomes:
            typer.echo(f"{outcome.experiment}: {outcome.undo}: {outcome.how or 'done'}")
        if not outcomes:
            typer.echo("nothing to heal")
    if left := sum(not outcome.healed for outcome in outcomes):
        raise GatecrashError(f"{left} may still be in force", hint="mend what is said above, then heal again")


def heal_orphans() -> tuple[str, ...]:
    """Before any other command: heal what a dead keeper and a dead reaper left. One line for each; cheap when there is
    nothing. Raises InputError."""
    if not state.journals():
        return ()
    from chaos import healing

    outcomes = healing.heal_all("the next command")
    return tuple(
        f"a fault that was left in force, {one.experiment}: {one.undo}: {one.how or 'done'}" for one in outcomes
    )

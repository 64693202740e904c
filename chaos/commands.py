"""`gatecrash chaos status|heal|export|import`: what is in force and how to undo it; Chaos Toolkit both ways."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from chaos.lease import state
from harness.errors import GatecrashError
from harness.input_file import path_of, write_output

chaos_app = typer.Typer(
    help="Faults still in force: status, heal. Chaos Toolkit files: export, import.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", parser=path_of, help="Write it there instead of to stdout.")
]


@chaos_app.command("status", short_help="The faults that may be in force.")
def chaos_status(json: AsJson = False) -> None:
    """The faults that may be in force: by which run, since when, whether its keeper lives, and what undoes each.

    \b
    gatecrash chaos status
    """
    from chaos.lease import healing

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


@chaos_app.command("heal", short_help="Undo what dead rehearsals left in force.")
def chaos_heal(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also of a running rehearsal: it gets no verdict then, unless you were to heal."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Undo what dead rehearsals left in force. Touches only what their journals own; safe to do twice.

    \b
    gatecrash chaos heal
    """
    from chaos.lease import healing

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


@chaos_app.command("export", short_help="An experiment as a Chaos Toolkit file.")
def chaos_export(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="A name from `experiment list`, or a file.")],
    out: Out = None,
) -> None:
    """An experiment as a file for `chaos run` of Chaos Toolkit; what it cannot say is said on stderr and in the file.

    \b
    gatecrash chaos export redis-down --out redis-down.json
    gatecrash target up --json > platform.json &
    chaos run redis-down.json
    """
    from chaos.specification import experiment as experiments
    from chaos.toolkit import exporting

    document = exporting.export(experiments.load(experiment))
    _write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n", out)
    for line in document.extensions[0].not_expressed:
        typer.echo(f"not in the file: {line}", err=True)


@chaos_app.command("import", short_help="A Chaos Toolkit file as an experiment.")
def chaos_import(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", parser=path_of, help="An experiment of Chaos Toolkit's, JSON or YAML.")
    ],
    out: Out = None,
) -> None:
    """A Chaos Toolkit experiment as one of ours: what `chaos export` wrote, or what chaostoolkit-toxiproxy breaks.

    \b
    gatecrash chaos import experiment.json --out my-outage.yaml
    """
    from chaos.toolkit import importing

    found = importing.read(file)
    _write(msgspec.yaml.encode(msgspec.to_builtins(found.experiment)), out)
    for line in found.notes:
        typer.echo(f"note: {line}", err=True)


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        typer.echo(content.decode(), nl=False)
        return
    write_output(out, content)


def heal_orphans() -> tuple[str, ...]:
    """Before any other command: heal faults whose keeper and reaper both died. One line for each; cheap when there is
    none. Raises InputError.
    """
    if not state.journals():
        return ()
    from chaos.lease import healing

    outcomes = healing.heal_all("the next command")
    return tuple(
        f"a fault that was left in force, {one.experiment}: {one.undo}: {one.how or 'done'}" for one in outcomes
    )

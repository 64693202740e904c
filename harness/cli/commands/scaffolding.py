"""`init`: a folder with a rehearsal of one's own shop, from flags or from the recording of a purchase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from harness.cli.app import app, fail, say
from harness.cli.commands.adapters import checked, print_report
from harness.cli.options import AllowHost
from harness.errors import ExitCode, GatecrashError, InputError
from harness.input_file import path_of

_Folder = Annotated[Path, typer.Argument(metavar="DIR", parser=path_of, help="A new folder, or an empty one.")]
_Stock = Annotated[bool, typer.Option("--stock", help="The shop sells tickets by number (this is the default).")]
_Seats = Annotated[bool, typer.Option("--seats", help="The shop sells named seats.")]
_Queue = Annotated[bool, typer.Option("--queue", help="Customers wait in a queue before they may buy.")]
_Har = Annotated[
    str,
    typer.Option("--from-har", metavar="FILE", help="Draft the adapter from a purchase that a browser recorded."),
]
_Url = Annotated[
    str, typer.Option("--stack", metavar="URL", help="With --from-har: where to try the draft. It buys a few tickets.")
]


@app.command("init")
def init(
    folder: _Folder,
    *,
    stock: _Stock = False,
    seats: _Seats = False,
    queue: _Queue = False,
    from_har: _Har = "",
    stack: _Url = "",
    allow_host: AllowHost = None,
) -> None:
    """Write a rehearsal of your own shop: adapter, scenario, prepare script, CI job.

    Without a recording it works at once with the little shop that comes with gatecrash, and comments say what to
    change. With one (developer tools, Network, Save all as HAR) the adapter is drafted from it; nothing that was typed
    into it is copied, and what could not be told is listed.

    \b
    gatecrash init onsale --queue
    gatecrash init onsale --seats
    gatecrash init onsale --from-har purchase.har --stack http://127.0.0.1:8000
    """
    from harness.scaffold.folder import require_free, write_folder
    from harness.scaffold.plain import plain_files

    if stock and seats:
        raise InputError("--stock and --seats: one of them", hint="begin with one, and add the other to the adapter")
    require_free(folder)
    if from_har:
        _from_har(folder, path_of(from_har), stack, allow_host or [], stock=stock, seats=seats, queue=queue)
        return
    if stack or allow_host:
        raise InputError("--stack and --allow-host go with --from-har", hint="write the address into onsale.yaml")
    write_folder(folder, plain_files(seats=seats, queue=queue))
    say(f"{folder} is written. Next: cd {folder} && gatecrash rehearse onsale.yaml; README.md says what to change.")


def _from_har(
    folder: Path, har: Path, stack: str, allow_host: list[str], *, stock: bool, seats: bool, queue: bool
) -> None:
    from harness.scaffold.folder import write_folder
    from harness.scaffold.recorded import recorded_files
    from harness.scenario.own_checks import check_url
    from harness.stack.allowed import require_allowed

    if stack:
        check_url(stack, lambda text, hint: InputError(text, key="--stack", hint=hint))
        require_allowed([stack], [urlsplit(stack).hostname or ""], allow_host)
    recorded = recorded_files(har, stack, stock=stock, seats=seats, queue=queue)
    write_folder(folder, recorded.files)
    for dropped in recorded.dropped:
        say(f"left out of the recording: {dropped}")
    for todo in recorded.todos:
        say(f"could not be told: {todo}")
    proved = _is_proved(folder, allow_host) if stack else None
    say(f"{folder} is written. Next: look for TODO in shop.py and onsale.yaml, then `gatecrash adapter check`.")
    if proved is None:
        say("the draft was not tried: give --stack URL")
    elif not proved:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _is_proved(folder: Path, allow_host: list[str]) -> bool:
    """Whether one fan and then two at once could buy with the adapter."""
    try:
        report = checked(f"{folder / 'shop.py'}:Shop", "", str(folder / "onsale.yaml"), [], allow_host)
    except GatecrashError as error:
        fail(f"the draft could not be tried: {error}")
        return False
    print_report(report)
    return not report.problems

"""`init`: a folder with a rehearsal of one's own shop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app, say
from harness.cli.options import path_of
from harness.errors import InputError

_Folder = Annotated[Path, typer.Argument(metavar="DIR", parser=path_of, help="A new folder, or an empty one.")]
_Stock = Annotated[bool, typer.Option("--stock", help="The shop sells tickets by number (this is the default).")]
_Seats = Annotated[bool, typer.Option("--seats", help="The shop sells named seats.")]
_Queue = Annotated[bool, typer.Option("--queue", help="Customers wait in a queue before they may buy.")]


@app.command("init")
def init(folder: _Folder, *, stock: _Stock = False, seats: _Seats = False, queue: _Queue = False) -> None:
    """Write a rehearsal of your own shop: adapter, scenario, prepare script, CI job. It works at once.

    \b
    gatecrash init onsale --queue
    gatecrash init onsale --seats
    """
    from harness.scaffold.folder import write_folder
    from harness.scaffold.plain import plain_files

    if stock and seats:
        raise InputError("--stock and --seats: one of them", hint="begin with one, and add the other to the adapter")
    write_folder(folder, plain_files(seats=seats, queue=queue))
    say(f"{folder} is written. Next: cd {folder} && gatecrash rehearse onsale.yaml; README.md says what to change.")

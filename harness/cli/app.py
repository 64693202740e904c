"""The root of the commands, and their output: progress and messages on stderr, answers on stdout."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from chaos.commands import chaos_app
from harness import __version__, plugins
from harness.errors import InputError
from harness.record.collecting.versions import commit
from harness.shown import on_one_line

_UNDECODED: Final = re.compile("[\ud800-\udfff]")
_SHOWN: Final = 60
_WITHOUT_PLUGINS: Final = ("doctor", "chaos", "target", "worker", "plan", "init")
"""Commands that work whatever plugins are installed: to heal, and to find out what is wrong."""


class _TextOnly(TyperGroup):
    """Takes words that can be written down: they come into records, reports and files of the user."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer keeps its type private
        """Raises InputError for bytes that are no text."""
        for word in args:
            if not word.isascii() and _UNDECODED.search(word):
                raise InputError(f"{word[:_SHOWN]!r} is no text in UTF-8", hint="write it in UTF-8")
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="gatecrash",
    cls=_TextOnly,
    help="Rehearse a ticket on-sale before the fans do.",
    epilog="Exit codes: 0 READY, 1 NOT READY, 2 bad usage or input, 3 NO VERDICT, 4 an invariant was violated, "
    "130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
scenario_app = typer.Typer(
    help="Who comes and what they do: list, show, check.", no_args_is_help=True, rich_markup_mode=None
)
experiment_app = typer.Typer(
    help="What is broken, and what is expected then: list, show, check.", no_args_is_help=True, rich_markup_mode=None
)
target_app = typer.Typer(help="The reference booking system.", no_args_is_help=True, rich_markup_mode=None)
adapter_app = typer.Typer(
    help="An adapter for a platform of your own: check.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(scenario_app, name="scenario")
app.add_typer(experiment_app, name="experiment")
app.add_typer(target_app, name="target")
app.add_typer(adapter_app, name="adapter")
app.add_typer(chaos_app, name="chaos")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(" ".join(filter(None, ["gatecrash", __version__, commit()])))
        raise typer.Exit


@app.callback()
def _gatecrash(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand not in _WITHOUT_PLUGINS and "--help" not in sys.argv:
        plugins.install()


def say(text: str) -> None:
    """A message for people, on one line."""
    print(on_one_line(text), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """An answer for people, on one line."""
    typer.echo(on_one_line(text))


def fail(text: str) -> None:
    """An error, in one line."""
    say(f"gatecrash: {text}")


def broken(error: Exception) -> str:
    """An unexpected error, with the place where it happened, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said} ({Path(place.filename).name}:{place.lineno})"


def print_json(answer: object) -> None:
    """An answer for machines."""
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """An answer for people: a terminal folds long cells; anywhere else each row is one line."""
    cells = [tuple(columns), *(tuple(map(on_one_line, row)) for row in rows)]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells[1:]:
        table.add_row(*map(Text, row))
    Console().print(table)

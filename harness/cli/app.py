"""What the commands hang on, and how they speak: progress and messages on stderr, answers on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from chaos.commands import chaos_app

app = typer.Typer(
    name="gatecrash",
    help="Rehearse a ticket on-sale before the fans do.",
    no_args_is_help=True,
    add_completion=False,
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
app.add_typer(scenario_app, name="scenario")
app.add_typer(experiment_app, name="experiment")
app.add_typer(target_app, name="target")
app.add_typer(chaos_app, name="chaos")


def say(text: str) -> None:
    """A message for people."""
    print(text, file=sys.stderr, flush=True)


def fail(text: str) -> None:
    """An error, in one line."""
    say(f"gatecrash: {text}")


def print_json(answer: object) -> None:
    """An answer for machines."""
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """An answer for people; long cells are folded."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)

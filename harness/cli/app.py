"""What the commands hang on, and how they speak: progress and messages on stderr, answers on stdout."""

from __future__ import annotations

import sys

import typer

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

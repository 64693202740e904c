"""Runs the command line and returns its exit code; every error becomes one line."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from chaos.commands import heal_orphans
from harness.cli.annotations import annotate_end
from harness.cli.app import app, broken, fail, say
from harness.cli.streams import forgive_broken_output
from harness.errors import ExitCode, GatecrashError
from harness.processes.signals import stoppable
from harness.record import seal_key


def main() -> NoReturn:
    """The entry point: run a command, and turn any error into one line and an exit code."""
    forgive_broken_output()
    try:
        with stoppable():
            seal_key.take()
            _heal_orphans()
            code = app(prog_name="gatecrash", standalone_mode=False)
            if code == ExitCode.INTERRUPTED:  # Typer has swallowed a KeyboardInterrupt
                fail("interrupted")
    except GatecrashError as error:
        _end(error.exit_code, str(error), error)
    except (typer.Abort, KeyboardInterrupt):
        _end(ExitCode.INTERRUPTED, "interrupted")
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except typer.TyperException as error:
        text = error.format_message()
        if text.startswith("Usage:"):
            for line in text.splitlines():
                say(line)
            sys.exit(ExitCode.BAD_INPUT)
        _end(ExitCode.BAD_INPUT, f"{text} (see `{_command_of(error)} --help`)")
    except Exception as error:  # noqa: BLE001 - 1 is a verdict, and this is none
        _end(ExitCode.NO_VERDICT, f"gatecrash itself broke: {broken(error)}")
    sys.exit(code or 0)


def _end(code: ExitCode, said: str, error: GatecrashError | None = None) -> NoReturn:
    """One line on stderr, and an annotation where one is shown."""
    fail(said)
    for line in annotate_end(code, said, error):
        print(line, file=sys.stderr, flush=True)
    sys.exit(code)


def _command_of(error: typer.TyperException) -> str:
    """The command that was used wrongly, with its group."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "gatecrash"


def _heal_orphans() -> None:
    """Heal the faults of a run that was killed together with its reaper. A failure does not stop the command."""
    if sys.argv[1:2] == ["chaos"]:  # `heal` reports and heals by itself
        return
    try:
        for line in heal_orphans():
            say(line)
    except GatecrashError as error:
        fail(f"{error}; see `gatecrash chaos status`")

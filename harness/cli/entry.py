"""Runs the command line and returns its exit code; every error becomes one line."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from chaos.commands import heal_orphans
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
        fail(str(error))
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        fail("interrupted")
        sys.exit(ExitCode.INTERRUPTED)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except typer.TyperException as error:
        text = error.format_message()
        if text.startswith("Usage:"):
            for line in text.splitlines():
                say(line)
        else:
            fail(f"{text} (see `{_command_of(error)} --help`)")
        sys.exit(ExitCode.BAD_INPUT)
    except Exception as error:  # noqa: BLE001 - 1 is a verdict, and this is none
        fail(f"gatecrash itself broke: {broken(error)}")
        sys.exit(ExitCode.NO_VERDICT)
    sys.exit(code or 0)


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

"""docs/reference/cli.md: every command with its options and examples, and the exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import typer

from harness.cli import commands
from harness.cli.app import app
from harness.errors import ExitCode
from tests.reference.types import MADE, one_line, rows

_INTRODUCTION: Final = f"""\
# Commands

Every command of `gatecrash`, as `--help` tells it. {MADE}

## Exit codes
"""
_CODES: Final = {
    ExitCode.READY: "READY, or the command did what it was asked",
    ExitCode.NOT_READY: "NOT READY, or something that was compared or checked differs",
    ExitCode.BAD_INPUT: "bad usage or input; nothing was started",
    ExitCode.NO_VERDICT: "NO VERDICT: what is required was not seen",
    ExitCode.INVARIANT_VIOLATED: "NOT READY: an invariant was violated",
    ExitCode.INTERRUPTED: "interrupted, after everything was healed",
}


def render() -> str:
    """The whole page."""
    assert commands is not None  # the import registers them
    codes = rows(("Code", "Means"), [(f"`{code.value}`", _CODES[code]) for code in ExitCode])
    return "\n".join([_INTRODUCTION, codes, *_group("gatecrash", typer.main.get_command(app))])


def _group(name: str, group: Any) -> Iterator[str]:
    for word, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _group(f"{name} {word}", command)
        else:
            yield from _command(f"{name} {word}", command)


def _command(name: str, command: Any) -> Iterator[str]:
    said, _, examples = command.help.partition("\b")
    parts = [one_line(part) for part in said.strip().split("\n\n") if part.strip()]
    yield f"## {name}\n"
    arguments = [_shown(one) for one in command.params if _is_argument(one)]
    yield f"```\n{' '.join([name, '[OPTIONS]', *arguments])}\n```\n"
    yield "\n\n".join(parts) + "\n"
    if examples.strip():
        yield f"```sh\n{examples.strip()}\n```\n"
    cells = [(f"`{_called(one)}`", _said(one)) for one in command.params if not one.hidden and one.name != "help"]
    if cells:
        yield rows(("Option", "Meaning"), cells)


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _shown(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _called(parameter: Any) -> str:
    if _is_argument(parameter):
        return parameter.metavar or str(parameter.name).upper()
    names = " or ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {(parameter.metavar or '').replace('|', ' or ')}".strip()


def _said(parameter: Any) -> str:
    default = parameter.default
    shown = default is not None and default is not False and default not in ((), [], "") and not callable(default)
    return one_line(parameter.help or "") + (f" Default: `{default}`." if shown else "")

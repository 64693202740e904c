"""Annotations of a job of GitHub Actions: the verdict, the findings to act on, and the error that ended a command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from harness.errors import ExitCode, GatecrashError, InputError
from harness.shown import on_one_line

if TYPE_CHECKING:
    from harness.record.verdict import Verdict

_LEVELS: Final = {"critical": "error", "major": "warning", "minor": "notice"}
_MOST: Final = 10  # GitHub shows no more of a kind in one step
_ENDED: Final = {
    ExitCode.BAD_INPUT: "bad usage or input, nothing was started",
    ExitCode.NO_VERDICT: "NO VERDICT",
    ExitCode.INTERRUPTED: "interrupted",
}


def annotate(verdict: Verdict, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A workflow command for the verdict and for each finding to act on; none outside of GitHub Actions."""
    if not _is_github(environment):
        return
    level = "notice" if verdict.verdict.value == "READY" else "error"
    yield _command(level, f"gatecrash: {verdict.verdict.value}", verdict.reason)
    told = [finding for finding in verdict.findings if finding.severity in _LEVELS]
    for finding in told[: _MOST - 1]:
        cause = verdict.cause_of(finding.id)
        text = f"{finding.evidence}. Why: {cause.sentence}" if cause else finding.evidence
        text += f" ({finding.runbook})" if finding.runbook else ""
        yield _command(_LEVELS[finding.severity], finding.title, text)


def annotate_end(
    code: ExitCode, said: str, error: GatecrashError | None = None, environment: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """A workflow command for what ended a command early, at its line of the file where that is known."""
    if _is_github(environment):
        place = {}
        if isinstance(error, InputError) and error.file is not None:
            place = {"file": error.file} | ({} if error.line is None else {"line": str(error.line)})
        yield _command("error", f"gatecrash: {_ENDED.get(code, 'ended early')}", said, place)


def _is_github(environment: Mapping[str, str]) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"


def _command(level: str, title: str, text: str, place: Mapping[str, str] | None = None) -> str:
    named = {**(place or {}), "title": title}
    return f"::{level} {','.join(f'{name}={_property(value)}' for name, value in named.items())}::{_escaped(text)}"


def _property(value: str) -> str:
    return _escaped(value).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "%0A".join(on_one_line(line).replace("%", "%25") for line in lines)

"""What a job of GitHub Actions shows beside its log: the verdict and the gravest findings as workflow commands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from harness.record.verdict import Decision, Verdict

_LEVELS: Final = {"critical": "error", "major": "warning", "minor": "notice"}
_MOST: Final = 10  # GitHub shows no more of a kind in one step


def annotate(verdict: Verdict, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """One workflow command for the verdict and one for each finding that somebody should act on; none elsewhere."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    level = "notice" if verdict.verdict is Decision.READY else "error"
    yield _command(level, f"gatecrash: {verdict.verdict.value}", verdict.reason)
    told = [finding for finding in verdict.findings if finding.severity in _LEVELS]
    for finding in told[: _MOST - 1]:
        text = f"{finding.evidence} ({finding.runbook})" if finding.runbook else finding.evidence
        yield _command(_LEVELS[finding.severity], finding.title, text)


def _command(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title).replace(':', '%3A').replace(',', '%2C')}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

"""When the self-test last ran for this version, and its result: a small file of the user's, read by rehearsals."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from harness.input_file import NOT_JSON
from harness.record.schema import SelfTestSummary
from harness.record.writer import write_document


def path() -> Path:
    """Where it is kept: $XDG_STATE_HOME/gatecrash/selftest.json, by default below ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "gatecrash" / "selftest.json"


def remember(summary: SelfTestSummary) -> bool:
    """Keep it; a partial self-test does not replace a whole one of the same version. Raises OSError."""
    known = recall(summary.version)
    if known is not None and known.whole and not summary.whole:
        return False
    path().parent.mkdir(parents=True, exist_ok=True)
    write_document(path(), summary)
    return True


def recall(version: str) -> SelfTestSummary | None:
    """The last self-test of this version; null when there was none, or what is kept cannot be read."""
    try:
        summary = msgspec.json.decode(path().read_bytes(), type=SelfTestSummary)
    except (OSError, RuntimeError, *NOT_JSON):
        return None
    return summary if summary.version == version else None


def version_of(versions: dict[str, str]) -> str:
    """What a result is kept for: the version, and the commit where it runs from a checkout."""
    return " ".join(versions[name] for name in ("gatecrash", "commit") if name in versions)

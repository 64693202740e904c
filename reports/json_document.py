"""verdict.json: the verdict, indented, byte for byte the same for the same verdict."""

from __future__ import annotations

import msgspec

from harness.record.verdict import Verdict


def render(verdict: Verdict) -> str:
    """The verdict as JSON."""
    return msgspec.json.format(msgspec.json.encode(verdict), indent=2).decode() + "\n"

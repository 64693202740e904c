"""Makes one trial purchase before any load: it shows that the user's adapter, secrets and edges work."""

from __future__ import annotations

from collections.abc import Callable

from harness.record.paths import RunPaths
from harness.rehearsal.adapter import try_out
from harness.stack.own import OwnStack


def prove(stack: OwnStack, fans: int, paths: RunPaths, note: Callable[[str], None]) -> None:
    """One purchase by one fan, then a check that each edge carried bytes. Raises InputError."""
    note("one purchase by one fan, before any load")
    for text in try_out(stack.addresses, stack.platform, fans, paths).notes:
        note(text)
    stack.require_used_edges()

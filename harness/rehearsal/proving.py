"""Makes one trial purchase before any load: it shows that the user's adapter, secrets and edges work."""

from __future__ import annotations

from collections.abc import Callable

from harness.record.paths import RunPaths
from harness.rehearsal.adapter import try_out
from harness.stack.own import OwnStack


def prove(stack: OwnStack, visitors: int, paths: RunPaths, note: Callable[[str], None]) -> int:
    """One purchase by one fan, then a check that each edge carried bytes. Raises InputError.

    Where lots are drawn, the platform is prepared again: a fan of the run who comes after that draw would get no lot.
    `visitors`: how many of the run use rows of the people file. Returns how many requests of the purchase change
    something.
    """
    note("one purchase by one fan, before any load")
    tried = try_out(stack.addresses, stack.platform, visitors, paths)
    for text in tried.notes:
        note(text)
    stack.require_used_edges()
    if stack.platform.rules.queue_policy == "shuffle":
        if stack.platform.prepare:
            stack.prepare_again()
        else:
            note(
                "lots may be drawn already, for the trial purchase: give platform.prepare, which is run again after it"
            )
    return tried.purchase_acts

"""Makes one trial purchase before any load: it shows that the user's adapter, secrets and edges work."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from harness.record.paths import RunPaths
from harness.rehearsal.adapter import try_out
from harness.stack.own import OwnStack
from harness.swarm.messaging.protocol import SwarmSpec


def prove(stack: OwnStack, spec: SwarmSpec, paths: RunPaths, note: Callable[[str], None]) -> SwarmSpec:
    """One purchase by one fan, then a check that each edge carried bytes. Raises InputError.

    Returns what the swarm is to know, with how many requests of the purchase change something.
    """
    note("one purchase by one fan, before any load")
    tried = try_out(stack.addresses, stack.platform, spec.scenario.load.fans, paths)
    for text in tried.notes:
        note(text)
    stack.require_used_edges()
    return msgspec.structs.replace(spec, purchase_acts=tried.purchase_acts)

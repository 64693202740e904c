"""Chooses the stack that `--stack` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from harness.errors import InputError
from harness.processes.ports import HOST
from harness.scenario import OnSale
from harness.stack.compose.stack import ComposeStack
from harness.stack.fault_proxy import from_environment
from harness.stack.reference.embedded import EmbeddedStack
from harness.yaml_file import suggest

NAMES: Final = ("embedded", "compose")
AnyStack: TypeAlias = EmbeddedStack | ComposeStack


def require_stack(name: str) -> None:
    """Refuses a name that is no stack. Raises InputError."""
    if name not in NAMES:
        hint = suggest(name, list(NAMES))
        raise InputError(f"{name!r} is no stack", key="--stack", hint=f"{hint}; your own platform: http://…")


def stack_of(
    name: str,
    on_sale: OnSale,
    logs: Path,
    *,
    bug: str = "",
    traced: bool = False,
    booking_port: int = 0,
    seed: int | None = None,
    listen: str = HOST,
    visitors: int = 0,
    announce: Callable[[str], None] = lambda _: None,
) -> AnyStack:
    """The stack of that name, not raised yet. `traced`: it keeps spans for the record. `seed`: of the fault
    proxy's draws, where that is our own. `listen`: where users reach an embedded one, and
    `visitors`: how many of them come. Raises InputError."""
    require_stack(name)
    if name == "compose":
        return ComposeStack(on_sale, logs, bug=bug, traced=traced, booking_port=booking_port, announce=announce)
    return EmbeddedStack(
        on_sale,
        logs,
        bug=bug,
        traced=traced,
        booking_port=booking_port,
        toxiproxy=from_environment(),
        seed=seed,
        listen=listen,
        visitors=visitors,
        announce=announce,
    )

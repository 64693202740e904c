"""The files of a rehearsal that works at once with the little shop that comes with gatecrash."""

from __future__ import annotations

from typing import Final

from harness.registry.capabilities import Capability
from harness.scaffold.templates import WORKFLOW, filled

TICKETS: Final = 240
FANS: Final = 120
_SHOWN: Final = (Capability.HOLD_RELEASE, Capability.LOOKUP, Capability.ORDER_EXPORT, Capability.LEDGER_EXPORT)


def plain_files(*, seats: bool, queue: bool) -> dict[str, str]:
    """Name → content. `seats`: named seats instead of stock."""
    capabilities = (
        *([Capability.QUEUE] if queue else []),
        Capability.SEATS if seats else Capability.STOCK,
        *_SHOWN,
    )
    values = {"seats": seats, "queue": queue, "drafted": False}
    onsale = {"fans": FANS, "tickets": TICKETS, "goods": "seats" if seats else "standing tickets"}
    return {
        "shop.py": filled(
            "shop.py",
            **values,
            declared=_quoted(capabilities),
            others=", ".join(one for one in Capability if one not in capabilities),
        ),
        "onsale.yaml": filled("onsale.yaml", **values, **onsale),
        "prepare.sh": filled("prepare.sh", options=_options(seats=seats, queue=queue)),
        WORKFLOW: filled("rehearse.yml"),
        "README.md": filled("README.md", **values),
        ".gitignore": filled("gitignore"),
    }


def _options(*, seats: bool, queue: bool) -> str:
    """How the little shop is started."""
    goods = f"--stock 0 --seats {TICKETS}" if seats else f"--stock {TICKETS}"
    line = " --queue polling --admit-per-s 40" if queue else ""
    return f"{goods} --basket-ttl 10{line}"


def _quoted(capabilities: tuple[Capability, ...]) -> str:
    return ", ".join(f'"{capability}"' for capability in capabilities)

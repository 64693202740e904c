"""gatecrash: rehearse a ticket on-sale before the fans do.

In an installed wheel this file is the package `gatecrash` itself. The five rooms lie beside it in `_tree`, off the
top level of site-packages; this puts them on the path, and offers what authors of adapters and journeys import.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

_TREE = Path(__file__).resolve().parent / "_tree"
if _TREE.is_dir() and str(_TREE) not in sys.path:
    sys.path.insert(0, str(_TREE))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_TREE), os.environ.get("PYTHONPATH", "")]))

if TYPE_CHECKING:
    from harness import platform

__all__ = ["main", "platform"]


def __getattr__(name: str) -> object:
    """`gatecrash.platform`, loaded when first asked for."""
    if name == "platform":
        from harness import platform

        return platform
    raise AttributeError(f"module 'gatecrash' has no attribute {name!r}")


def main() -> None:
    """The command line."""
    from harness.processes.starting import end_at_once_when_stopped

    end_at_once_when_stopped()
    from harness.cli import main as run

    run()

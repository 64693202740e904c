"""The commit that this tree of sources is of. It imports nothing of ours: the build asks for it too."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

FILE: Final = "COMMIT"
"""What a wheel and a source archive carry, see `harness.build_hook`."""


def commit_of(tree: Path) -> str:
    """The commit of the checkout, with "+" when it has changes; of a built tree the one it was built from; else ""."""
    if not (tree / ".git").exists():
        carried = tree / FILE
        return carried.read_text(encoding="utf-8").strip() if carried.is_file() else ""
    command = ["git", "-C", str(tree), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

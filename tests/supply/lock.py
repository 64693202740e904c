"""Reads the lock files, and says what is wrong with them without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
PROJECT = "gatecrash"
_PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,._-]+\])?==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pin(NamedTuple):
    """One package of a lock, which may have several versions of it for several platforms.

    `via`: the packages that need it; the project itself is `gatecrash`.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    via: tuple[str, ...]

    @property
    def is_for_here(self) -> bool:
        """Whether it belongs on this platform."""
        return not self.marker or Marker(self.marker).evaluate()


class LockError(ValueError):
    """Something in a lock that is no pin by version and hash."""


def pins(text: str) -> list[Pin]:
    """The packages of a lock. Raises LockError, which names the line."""
    return [_pin(block) for block in _blocks(text)]


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace() and block:
            yield block
            block = []
        if line.strip():
            block.append(line)
    if block:
        yield block


def _pin(block: list[str]) -> Pin:
    head, *rest = (line.strip().removesuffix("\\").strip() for line in block)
    pin = _PIN.fullmatch(head)
    if pin is None:
        raise LockError(f"{head!r} is not pinned as NAME==VERSION")
    hashes = [_HASH.fullmatch(line) for line in rest if not line.startswith("#")]
    if not hashes or None in hashes:
        raise LockError(f"{pin['name']} is not pinned by sha256 alone")
    comments = [line.removeprefix("#").strip().removeprefix("via").strip() for line in rest if line.startswith("#")]
    via = tuple(PROJECT if one.startswith(PROJECT) else one for one in comments if one and not one.startswith("-"))
    return Pin(pin["name"], pin["version"], (pin["marker"] or "").strip(), tuple(h[1] for h in hashes if h), via)


def problems(lock: list[Pin], dev: list[Pin], wanted: list[str]) -> Iterator[str]:
    """What is wrong with the locks and with what is installed. `wanted`: the requirements of the project itself."""
    of_dev = {(pin.name, pin.version) for pin in dev}
    for pin in lock:
        if (pin.name, pin.version) not in of_dev:
            yield f"{pin.name} {pin.version} is not in the lock of the development tools"
    for text in wanted:
        requirement = Requirement(text)
        locked = [pin.version for pin in lock if pin.name == canonicalize_name(requirement.name)]
        if not locked or not all(requirement.specifier.contains(one, prereleases=True) for one in locked):
            yield f"the project wants {text}, and the lock has {', '.join(locked) or 'none'}"
    for pin in dev:
        if pin.is_for_here and (installed := installed_version(pin.name)) != pin.version:
            yield f"{pin.name} is locked at {pin.version}, and installed is {installed or 'none'}"


def installed_version(name: str) -> str:
    """The version that is installed; "" when none is."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

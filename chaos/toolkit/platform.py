"""Reads the file that says where the platform is, because Chaos Toolkit does not know it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import InputError
from harness.input_file import NOT_JSON, read_input
from harness.stack.allowed import require_allowed

VARIABLE: Final = "GATECRASH_PLATFORM"
_BYTES_MAX: Final = 1024 * 1024
DEFAULT: Final = "platform.json"
CONFIRMED: Final = "GATECRASH_ALLOW_HOST"
"""Confirms hosts beyond this machine, comma-separated: an ordinary `chaos run` has no option for it."""


class PlatformFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `gatecrash target up --json` prints, or the like written by hand; other keys are ignored.

    `metrics`: source → URL of a Prometheus page. `allow_hosts`: hosts beyond this machine that may be broken.
    """

    toxiproxy: str
    event: str = ""
    metrics: dict[str, str] = {}
    allow_hosts: tuple[str, ...] = ()


def read(path: str) -> PlatformFile:
    """Raises InputError when it cannot be used, or names a host that is neither on this machine nor allowed."""
    try:
        platform = msgspec.json.decode(read_input(Path(path), _BYTES_MAX), type=PlatformFile)
    except InputError as error:
        hint = f"`gatecrash target up --json > {DEFAULT}` writes one; {VARIABLE} names another"
        raise InputError(error.message, file=path, hint=hint) from error
    except NOT_JSON as error:
        hint = 'e.g. {"toxiproxy": "http://127.0.0.1:8474", "metrics": {"api": "http://127.0.0.1:9000/metrics"}}'
        raise InputError(f"does not say where the platform is: {error}", file=path, hint=hint) from error
    confirmed = [host.strip() for host in os.environ.get(CONFIRMED, "").split(",")]
    try:
        require_allowed((platform.toxiproxy, *platform.metrics.values()), platform.allow_hosts, confirmed)
    except InputError as error:
        hint = f"if it is yours to break: name it in allow_hosts of this file, and in {CONFIRMED} too"
        raise InputError(error.message, file=path, hint=hint) from error
    return platform

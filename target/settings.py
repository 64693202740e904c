"""The settings of every process of the booking system: environment variables `TARGET_<NAME>`, parsed once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

PREFIX: Final = "TARGET_"

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class SettingsError(ValueError):
    """A setting that cannot be used; its text is one line for the user."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of one process. A role reads only those it needs; the rest keep their defaults."""

    listen: Annotated[str, Meta(pattern=r"^[^:\s]+:\d{1,5}$")] = "127.0.0.1:8000"
    node: Name = "booking"
    workers: Count = 1
    redis_url: str = "redis://127.0.0.1:6379/0"
    primary_dsn: str = "postgresql://127.0.0.1:5432/gatecrash"
    replica_dsn: str = "postgresql://127.0.0.1:5433/gatecrash"
    payments_url: str = "http://127.0.0.1:8090"
    secret: str = "rehearsal-only"  # noqa: S105 - signs tickets and passes; a real platform sets its own
    admin_token: str = ""  # empty: the operator endpoints refuse everyone
    event: Name = "playoff-g1"
    venue: str = "arena"  # a name in target/venues/, or a path to a file
    hold_ttl_s: Seconds = 600.0
    admission_rate_per_s: Seconds = 30.0
    admission_burst: Count = 30
    purchase_limit: Count = 4  # seats held and sold, per identity
    ledger_path: str = "ledger.sqlite"
    payment_time_ms: Annotated[int, Meta(ge=0)] = 60  # the provider's own think time
    payment_timeout_s: Seconds = 2.0
    dependency_timeout_s: Seconds = 1.0
    bug: str = ""  # a planted bug, see target/bugs.py

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port to listen on."""
        return int(self.listen.rpartition(":")[2])


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from `TARGET_*`. Raises `SettingsError` for an unknown name or a value of the wrong kind."""
    given = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_one_line(str(error), given)) from error


def _one_line(text: str, given: Mapping[str, str]) -> str:
    """msgspec names a field as `$.hold_ttl_s`; people set TARGET_HOLD_TTL_S."""
    unknown = re.search(r"unknown field `(\w+)`", text)
    if unknown:
        return f"{PREFIX}{unknown[1].upper()}: no such setting"
    place = re.search(r" - at `\$\.(\w+)`$", text)
    if not place:
        return text
    return f"{PREFIX}{place[1].upper()}={given[place[1]]!r}: {text[: place.start()]}"

"""The settings of every process of the booking system: environment variables `TARGET_<NAME>`, parsed once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

PREFIX: Final = "TARGET_"
PUBLIC_SECRET: Final = "rehearsal-only"  # noqa: S105 - for everybody to read, so it is good on loopback only
_LOOPBACK: Final = ("127.0.0.1", "localhost")
_SECRETS: Final = {"booking": ("secret", "webhook_secret"), "worker": ("secret",), "payments": ("webhook_secret",)}

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Names = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(,[A-Za-z0-9][A-Za-z0-9_-]*)*$")]
Seconds = Annotated[float, Meta(gt=0)]
Rate = Annotated[float, Meta(gt=0)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
CountOrNone = Annotated[int, Meta(ge=0)]  # 0: no limit


class SettingsError(ValueError):
    """A setting that cannot be used; its text is one line for the user."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of one process. A role reads only those that it needs; the others keep their defaults."""

    listen: Annotated[str, Meta(pattern=r"^[^:\s]+:\d{1,5}$")] = "127.0.0.1:8000"
    node: Name = "booking"
    workers: Count = 1
    bug: str = ""  # a planted bug, see target/bugs/catalogue.py

    event: Names = "playoff-g1"  # several names with commas: each event is on sale by itself
    venue: str = "arena"  # a name in target/seats/venues/, or a path to a file
    accessible_pairs: CountOrNone = 0  # in each section: wheelchair places with a companion seat, for a declared need

    redis_url: str = "redis://127.0.0.1:6379/0"
    primary_dsn: str = "postgresql://127.0.0.1:5432/gatecrash"  # one for each shard, with spaces between
    replica_dsn: str = "postgresql://127.0.0.1:5433/gatecrash"  # in the same order
    database_connections: Count = 16  # to each primary; a quarter of it to each replica
    replica_lag_max_s: Seconds = 5.0  # with more lag, browsing reads the primary while it answers
    dependency_timeout_s: Seconds = 1.0
    map_late_max_s: Seconds = 1.0  # an older map of the seats says that it is stale

    secret: str = PUBLIC_SECRET  # signs tickets, passes and holds
    admin_token: str = ""  # empty: the operator endpoints refuse all requests

    queue_policy: Literal["fifo", "shuffle"] = "fifo"  # among the fans who come before the opening
    opens_at_s: Annotated[float, Meta(ge=0)] = 0.0  # unix s; before it fans gather and none is admitted
    place_grace_s: Seconds = 60.0  # how long the place of a silent fan is kept
    admission: Literal["fixed", "adaptive"] = "fixed"
    admission_rate_per_s: Rate = 30.0  # adaptive: the first rate
    admission_burst: Count = 30
    admission_floor_per_s: Rate = 5.0
    admission_ceiling_per_s: Rate = 60.0
    admission_valid_s: Seconds = 600.0  # after it a fan who was admitted and did not enter is a no-show
    conflict_target: Ratio = 0.1  # adaptive: the share of holds that may meet a taken seat

    challenge: Literal["none", "proof_of_work"] = "proof_of_work"
    challenge_bits: Annotated[int, Meta(ge=1, le=32)] = 8  # the work is 2^bits hashes on average
    joins_per_device: CountOrNone = 8  # in a minute
    places_per_identity: Annotated[int, Meta(ge=0, le=1)] = 0  # 1: a second fan of one identity gets no place
    codes: str = ""  # a file with an access code a line, each good for one fan; empty: nobody needs one
    purchase_limit: CountOrNone = 4  # seats held and sold, per identity

    holds: Literal["lua", "watch"] = "lua"
    hold_ttl_s: Seconds = 600.0

    payments_url: str = "http://127.0.0.1:8090"
    payment_flow: Literal["sale", "authorise"] = "sale"  # authorise: capture is a step of its own
    payment_timeout_s: Seconds = 2.0
    webhook_secret: str = PUBLIC_SECRET  # the secret that is shared with the provider
    webhook_url: str = ""  # payments: the URL for the provider's webhooks; empty: none are sent
    ledger_path: str = "ledger.sqlite"
    payment_time_ms: Annotated[int, Meta(ge=0)] = 60  # the provider's own think time
    payment_switches: str = ""  # how the provider misbehaves: name=value,…, see target/payments/switches.py
    parking_path: str = ""  # booking: a folder for parked checkouts; empty: they are lost when Redis loses them

    feed_sockets_max: Count = 20_000  # on one node
    feed_opens_per_s: Rate = 500.0  # further clients are told when to come back

    log_format: Literal["text", "json"] = "text"
    spans_path: str = ""  # finished spans, one JSON document a line; empty: none are kept
    spans_url: str = ""  # an OTLP/HTTP collector

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events on sale."""
        return tuple(self.event.split(","))

    def of_events(self) -> tuple[Settings, ...]:
        """These settings once for each event, with `event` its name alone."""
        return tuple(msgspec.structs.replace(self, event=event) for event in self.events)

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port to listen on."""
        return int(self.listen.rpartition(":")[2])


def refuse_public_secrets(role: str, settings: Settings) -> None:
    """Raises `SettingsError` when other machines could reach a role that has the default, public secrets."""
    if settings.host in _LOOPBACK:
        return
    for name in _SECRETS.get(role, ()):
        if getattr(settings, name) in {"", PUBLIC_SECRET}:
            raise SettingsError(
                f"{PREFIX}{name.upper()} is not set: whoever reaches {settings.listen} could sign with its default; "
                "give every process the same long random value"
            )


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from `TARGET_*`. Raises `SettingsError` for an unknown name or a value of the wrong kind."""
    given = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_one_line(str(error), given)) from error


def _one_line(text: str, given: Mapping[str, str]) -> str:
    """msgspec's message in one line, with TARGET_HOLD_TTL_S in place of `$.hold_ttl_s`."""
    unknown = re.search(r"unknown field `(\w+)`", text)
    if unknown:
        return f"{PREFIX}{unknown[1].upper()}: no such setting"
    place = re.search(r" - at `\$\.(\w+)`$", text)
    if not place:
        return text
    return f"{PREFIX}{place[1].upper()}={given[place[1]]!r}: {text[: place.start()]}"

"""The `platform:` section of a scenario: a platform of the user's own, where it is and what is known of it.

Values may come from the environment by name only: `secrets` names variables, and a header may be `env:NAME`. The values
are read by the processes that need them and are never in the record, in a log or in a file of ours.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0, le=1_000_000)]
NotNegative = Annotated[float, Meta(ge=0)]
HostPort = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}$")]
Probe = Literal["tcp", "http", "redis", "postgres", "websocket"]
FROM_ENVIRONMENT: Final = "env:"
"""How a header's value begins that is the value of a variable of the environment."""
WORDS: Final = ("admission", "fan", "hold", "order", "payment", "pool", "queue", "seat")
"""The words of ours in place of which `names` may give others."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the sections: frozen, and an unknown key is refused."""


class Rules(_Section, frozen=True):
    """What the platform promises, as its owners know it. What is not given is not judged."""

    stock: Count | dict[str, Count] | None = None
    """Tickets on sale: a number where there is one pool, else a number for each pool by its name."""
    purchase_limit: Count = 0
    """How many tickets one customer may buy; 0: as many as they like."""
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$")] = ""
    """The currency of all prices, in three letters: EUR; "": it is not shown."""
    order_limit: Count = 0
    """How many tickets one order may have, however many orders a customer has; 0: as many as they like."""
    order_fee_cents: Count = 0
    """What an order costs beyond the prices of its tickets. The price of a basket, where the adapter tells it, has its
    fees in it already."""
    ticket_fee_cents: Count = 0
    """The same for each ticket."""
    hold_ttl_s: Positive | None = None
    """How long a basket is kept."""
    hold_late_max_s: Positive = 5.0
    """By how much a basket may outlive its time."""
    map_late_max_s: Positive = 5.0
    """How old a seat map, or a number of tickets left, may be."""
    queue_policy: Literal["fifo", "shuffle"] = "fifo"
    """In which order fans are let in: as they came, or as the lots were drawn."""
    at_rest_within_s: Positive = 30.0
    """How long after the run the platform has until no order is pending and nothing is held."""

    @property
    def tickets_at_once(self) -> int:
        """How many one order may have by both limits; 0: as many as a customer likes."""
        return min(filter(None, (self.purchase_limit, self.order_limit)), default=0)


class Limits(_Section, frozen=True):
    """How long a fan's browser waits for an answer, and how much it takes."""

    connect_s: Positive = 5.0
    """Until the connection is open, TLS included."""
    first_byte_s: Positive = 10.0
    """From the request to the first byte of its answer."""
    whole_s: Positive = 20.0
    """From the request to the last byte of its answer."""
    idle_s: Positive = 30.0
    """How long a stream of events or a WebSocket may be silent."""
    body_bytes: Annotated[int, Meta(gt=0)] = 16 * 1024 * 1024
    """The largest answer that is read."""


class MetricsPage(_Section, frozen=True):
    """One Prometheus page."""

    url: str
    """Where it is."""
    headers: dict[str, str] = {}
    """Sent with each request for it. `env:NAME` is the value of a variable of the environment."""


class IndicatorSource(_Section, frozen=True):
    """Which of the platform's own metrics feeds an indicator."""

    metric: str
    """The metric's name."""
    source: str = ""
    """The name of the page of metrics that it is on; "": every page is looked at."""
    labels: dict[str, str] = {}
    """Which series of that name: those with these labels."""


class Edge(_Section, frozen=True):
    """A connection that faults can break: gatecrash listens, the platform is configured to dial there."""

    listen: HostPort
    """Where gatecrash listens, host:port of this machine."""
    upstream: HostPort
    """Where it passes on to, host:port: the database, the payment provider …"""
    probe: Probe = "tcp"
    """How the canary of a fault asks what is behind the edge."""
    path: str = "/"
    """The path that a probe over HTTP or a WebSocket asks for."""


class Part(_Section, frozen=True):
    """A process of the platform that faults may stop or kill: a container, or the process whose id is in a file."""

    container: str = ""
    """Name or id of the container."""
    pid_file: str = ""
    """The file with the id of the process."""
    address: HostPort | None = None
    """host:port at which it answers, for the canary of a fault; null: the canary looks at the process itself."""
    probe: Probe = "tcp"
    """How the canary asks at `address`."""
    path: str = "/"
    """The path that a probe over HTTP or a WebSocket asks for."""
    start: str = ""
    """The command that starts a killed process again; "": the platform's own supervisor does."""


class Traces(_Section, frozen=True):
    """Where gatecrash receives the platform's spans over OTLP/HTTP. Its exporters are told http://HOST:PORT/v1/traces."""

    listen: HostPort
    """Where gatecrash listens during a run, host:port of this machine."""
    wait_s: NotNegative = 6.0
    """How long after the last journey spans may still come: exporters send them in batches, by default every 5 s."""


class OwnPlatform(_Section, frozen=True):
    """The section. Paths are relative to the scenario file."""

    adapter: str = ""
    """FILE:CLASS of the adapter. `--platform` replaces it; users of a locustfile need none."""
    url: str = ""
    """Where a fan arrives. `--stack` replaces it; an address without a path keeps this one's."""
    settings: dict[str, str | int | float | bool] = {}
    """What the adapter finds in `self.settings`. It is recorded."""
    secrets: dict[str, str] = {}
    """Name → variable of the environment. The adapter finds the values in `self.secrets`; they are recorded nowhere."""
    people: str = ""
    """A CSV file with one row a fan, and two rows more for the trial purchase; a fan finds theirs in `self.account`."""
    secret_columns: tuple[str, ...] = ()
    """Columns of `people` whose values are recorded nowhere."""
    headers: dict[str, str] = {}
    """Sent with every request, e.g. what lets a rehearsal through a firewall. `env:NAME` is a variable's value."""
    hosts: tuple[str, ...] = ()
    """Further hosts that its pages may lead to, e.g. of a waiting room."""
    ca_file: str = ""
    """Certificates (PEM) to trust besides the system's."""
    prepare: str = ""
    """The command that makes the platform fresh before each run. Lines `url=…` and `settings.NAME=…` of its output
    replace what is written here."""
    prepare_within_s: Positive = 120.0
    """How long `prepare` may take."""
    baseline: Literal["read", "none"] = "none"
    """read: the adapter must be able to export orders, since what was sold before T0 is subtracted."""
    rules: Rules = Rules()
    """What the platform promises."""
    limits: Limits = Limits()
    """How long a fan's browser waits."""
    names: dict[str, str] = {}
    """Words for people in place of ours, e.g. `{hold: basket}`. Ours are admission, fan, hold, order, payment, pool,
    queue and seat."""
    metrics: dict[str, MetricsPage] = {}
    """The platform's Prometheus pages, by a name for each."""
    indicators: dict[str, IndicatorSource] = {}
    """Which of its metrics feeds which of our indicators."""
    edges: dict[str, Edge] = {}
    """The connections that faults can break, by name."""
    parts: dict[str, Part] = {}
    """The processes that faults can stop or kill, by name."""
    traces: Traces | None = None
    """Takes the platform's spans of the journeys that carry a traceparent into the record; null: nothing listens."""

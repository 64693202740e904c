"""The `platform:` section of a scenario: a platform of the user's own, where it is and what is known of it.

Values may come from the environment by name only: `secrets` names variables, and a header may be `env:NAME`. The values
are read by the processes that need them and are never in the record, in a log or in a file of ours.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
HostPort = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}$")]
Probe = Literal["tcp", "http", "redis", "postgres", "websocket"]
FROM_ENVIRONMENT: Final = "env:"
"""How a header's value begins that is the value of a variable of the environment."""
WORDS: Final = ("admission", "fan", "hold", "order", "payment", "pool", "queue", "seat")
"""The words of ours in place of which `names` may give others."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the sections: frozen, and an unknown key is refused."""


class Rules(_Section, frozen=True):
    """What the platform promises, as its owners know it. What is not given is not judged.

    `stock`: tickets on sale, of the one pool or by pool. `hold_late_max_s`: by how much a hold may outlive its time.
    """

    stock: Count | dict[str, Count] | None = None
    purchase_limit: Count = 0
    hold_ttl_s: Positive | None = None
    hold_late_max_s: Positive = 5.0
    map_late_max_s: Positive = 5.0
    queue_policy: Literal["fifo", "shuffle"] = "fifo"
    at_rest_within_s: Positive = 30.0


class Limits(_Section, frozen=True):
    """How long a fan's browser waits for an answer, and how much it takes."""

    connect_s: Positive = 5.0
    first_byte_s: Positive = 10.0
    whole_s: Positive = 20.0
    idle_s: Positive = 30.0
    body_bytes: Annotated[int, Meta(gt=0)] = 16 * 1024 * 1024


class MetricsPage(_Section, frozen=True):
    """One Prometheus page. `headers` as of the platform: `env:NAME` is the value of a variable."""

    url: str
    headers: dict[str, str] = {}


class IndicatorSource(_Section, frozen=True):
    """Which of the platform's own metrics feeds an indicator. Without `source` every page is looked at."""

    metric: str
    source: str = ""
    labels: dict[str, str] = {}


class Edge(_Section, frozen=True):
    """A connection that faults can break: gatecrash listens, the platform is configured to dial there.

    `probe`: how its canary asks what is behind it; `path`: of an HTTP or WebSocket probe.
    """

    listen: HostPort
    upstream: HostPort
    probe: Probe = "tcp"
    path: str = "/"


class Part(_Section, frozen=True):
    """A process of the platform that faults may stop or kill: a container, or the process whose id is in a file.

    `address`: host:port that it answers at, for its canary. `start`: the command that starts a killed process again;
    without it the platform's own supervisor must.
    """

    container: str = ""
    pid_file: str = ""
    address: HostPort | None = None
    probe: Probe = "tcp"
    path: str = "/"
    start: str = ""


class OwnPlatform(_Section, frozen=True):
    """See the module. Paths are relative to the scenario file.

    `adapter`: FILE:CLASS. `settings`: handed to the adapter, recorded. `secrets`: name → variable of the environment.
    `people`: a CSV file, one row a fan. `prepare`: a command that makes the platform fresh; lines KEY=VALUE of its
    output replace `url` and `settings`. `baseline: read`: what was sold before T0 is read and subtracted. `names`:
    words for people in place of ours.
    """

    adapter: str = ""
    url: str = ""
    settings: dict[str, str | int | float | bool] = {}
    secrets: dict[str, str] = {}
    people: str = ""
    secret_columns: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    hosts: tuple[str, ...] = ()  # further hosts that its pages may lead to, e.g. of a waiting room
    ca_file: str = ""  # certificates to trust besides the system's
    prepare: str = ""
    prepare_within_s: Positive = 120.0
    baseline: Literal["read", "none"] = "none"
    rules: Rules = Rules()
    limits: Limits = Limits()
    names: dict[str, str] = {}
    metrics: dict[str, MetricsPage] = {}
    indicators: dict[str, IndicatorSource] = {}
    edges: dict[str, Edge] = {}
    parts: dict[str, Part] = {}

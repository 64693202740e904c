"""What the swarm's master and its workers say to each other, over Locust's own channel, as one Locust message type.

All instants are on the sender's monotonic clock unless a field says otherwise; `worker` is 1, 2, 3 …
"""

from __future__ import annotations

from typing import Final

import msgspec

from harness.platform import AckedOrder
from harness.record.schema import CrashSummary, CutSummary, SeatMapFacts

MESSAGE_TYPE: Final = "gatecrash"


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of the messages."""


class Hello(_Message, frozen=True):
    """A worker is there. `client_id`: its name in Locust. `source_addresses`: which its machine's load comes from.

    `looks_up_as_fans`: an order is shown to who bought it, see `harness.platform.LooksUpAsFans`.
    """

    worker: int
    client_id: str
    host: str
    pid: int
    capabilities: tuple[str, ...]
    source_addresses: tuple[str, ...] = ()
    looks_up_as_fans: bool = False


class Ping(_Message, frozen=True):
    """A worker asks the master for its time, to estimate the offset of their clocks."""

    worker: int
    sent_s: float


class Spawned(_Message, frozen=True):
    """How many users of each kind Locust has given this worker."""

    worker: int
    users: dict[str, int]


class UsersArmed(_Message, frozen=True):
    """Every user of this worker is armed or has failed to. `failures`: why → how many."""

    worker: int
    armed: int
    failures: dict[str, int]
    clock_offset_s: float
    clock_uncertainty_s: float


class TookT0(_Message, frozen=True):
    """This worker will release at that T0, `lead_s` from now. Its clock was measured again for it."""

    worker: int
    t0_master_s: float
    lead_s: float
    clock_offset_s: float
    clock_uncertainty_s: float


class Batch(_Message, frozen=True):
    """Rows of one table as an Arrow IPC message. `number`: 0, 1, 2 … per worker and table."""

    worker: int
    table: str
    number: int
    data: bytes


class Beat(_Message, frozen=True):
    """One second of a worker."""

    worker: int
    users_by_step: dict[str, int]
    requests_sent: int
    operations_begun: int


class Ended(_Message, frozen=True):
    """No journey of this worker runs any more. `batches`: table → how many it has sent.

    `first_sends_s`: each released user's first send, relative to T0. `followers`: users who were released without
    having to send (a spectator's feed is open already). `cut`: journeys cut by the end.
    """

    worker: int
    requests_sent: int
    first_sends_s: tuple[float, ...]
    followers: int
    cut: tuple[CutSummary, ...]
    batches: dict[str, int]
    notes: tuple[str, ...]
    crashes: tuple[CrashSummary, ...] = ()


class SettleDone(_Message, frozen=True):
    """The state at rest is read. `tables`: the final tables that could be read, even if they are empty."""

    worker: int
    at_rest: bool
    tables: tuple[str, ...]
    seat_map: SeatMapFacts | None
    requests_sent: int
    batches: dict[str, int]
    notes: tuple[str, ...]
    foreign_owners: str = ""


class LookedUp(_Message, frozen=True):
    """The orders of this worker's fans are looked up."""

    worker: int
    requests_sent: int
    batches: dict[str, int]
    notes: tuple[str, ...]


class BaselineDone(_Message, frozen=True):
    """What there was before the release is read. `tables`: as of `SettleDone`. `problem`: why not, "" when it is."""

    worker: int
    tables: tuple[str, ...] = ()
    problem: str = ""


class Pong(_Message, frozen=True):
    """The answer to a `Ping`: `sent_s` as it was, and the master's clock."""

    sent_s: float
    master_s: float


class Assign(_Message, frozen=True):
    """Who this worker's users are: the first index of each kind, counted up from there; then arm them."""

    first_user: dict[str, int]


class ReleaseAt(_Message, frozen=True):
    """T0, on the master's clock and as unix time. A later one replaces it, as long as its T0 has not come."""

    t0_master_s: float
    t0_wall_s: float


class Withdraw(_Message, frozen=True):
    """There will be no release."""


class End(_Message, frozen=True):
    """End all journeys."""


class SettleNow(_Message, frozen=True):
    """Read the state at rest; then sweep what of `seats_held` ended unsold, and some others."""

    acked: tuple[AckedOrder, ...]
    seats_held: tuple[str, ...]
    timeout_s: float


class LookUp(_Message, frozen=True):
    """The platform is at rest: look up what this worker's fans were told of."""

    acked: tuple[AckedOrder, ...]


class ReadBaseline(_Message, frozen=True):
    """Read what there is before the release; `timeout_s` for each of two readings."""

    timeout_s: float


FromWorker = Hello | Ping | Spawned | UsersArmed | TookT0 | Batch | Beat | Ended | SettleDone | LookedUp | BaselineDone
FromMaster = Pong | Assign | ReleaseAt | Withdraw | End | SettleNow | LookUp | ReadBaseline

_encode: Final = msgspec.msgpack.Encoder().encode
_from_worker: Final[msgspec.msgpack.Decoder[FromWorker]] = msgspec.msgpack.Decoder(FromWorker)
_from_master: Final[msgspec.msgpack.Decoder[FromMaster]] = msgspec.msgpack.Decoder(FromMaster)


def pack(message: FromWorker | FromMaster) -> bytes:
    """A message as the data of a Locust message."""
    return _encode(message)


def from_worker(data: bytes) -> FromWorker:
    """What a worker said."""
    return _from_worker.decode(data)


def from_master(data: bytes) -> FromMaster:
    """What the master said."""
    return _from_master.decode(data)

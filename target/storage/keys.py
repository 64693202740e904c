"""The names of all Redis keys of one event. The braces are a cluster hash tag: an event's keys live in one slot.

The feed's newest entry numbers the last change of any seat; see `seat_stream` for how it is read with the map.
"""

from __future__ import annotations

from typing import Final

FEED_LENGTH_MAX: Final = 20_000

SEAT_FREE: Final = "0"
SEAT_HELD: Final = "1"
SEAT_SOLD: Final = "2"
MAP_SOLD: Final = "3"  # on the map; held and sold share a bit that free does not have


def seat_bit(index: int) -> int:
    """The bit of the map that is set while the seat of this index is held or sold."""
    return 8 * index + 7


def states_on(seat_map: bytes) -> bytes:
    """A character 0|1|2 for each seat: free, held, sold."""
    return seat_map.replace(MAP_SOLD.encode(), SEAT_SOLD.encode())


class Keys:
    """The keys of `event`. Attributes are full key names."""

    __slots__ = (
        "admission_bucket",
        "admission_no",
        "admitted",
        "answers",
        "awaited",
        "bought",
        "codes",
        "conflicts",
        "draw",
        "epoch",
        "event",
        "fans",
        "feed",
        "hold_recovery",
        "holds",
        "identities",
        "join_clock",
        "map",
        "nodes",
        "parked",
        "queue",
        "queue_epoch",
        "score",
        "seats",
        "seen",
        "server",
        "sold_out",
        "turnout",
    )

    def __init__(self, event: str) -> None:
        tag = f"{{{event}}}"
        self.event = event
        self.epoch = f"{tag}:epoch"  # string; absent until the seats are loaded: no holds and joins before
        self.server = f"{tag}:server"  # run_id of the Redis process in which the epoch was begun
        self.nodes = f"{tag}:nodes"  # sorted set process that makes promises → last seen, unix µs
        self.hold_recovery = (
            f"{tag}:hold_recovery"  # name of the hold recovery under way: no seat can be held until it ends
        )
        self.answers = f"{tag}:answers"  # hash process → its promises, as JSON
        self.feed = f"{tag}:feed"  # stream, ids 0-<seq> without a gap; one field, seat → "<state> <unix s> <µs>"
        self.map = f"{tag}:map"  # string: one character 0|1|3 per seat, in the venue's order; see `states_on`
        self.seats = f"{tag}:seats"  # hash seat that is not free → its hold's name, and that name → its `HoldRecord`
        self.holds = f"{tag}:holds"  # sorted set name of a hold that lives → expiry, unix µs
        self.bought = f"{tag}:bought"  # hash identity → seats held and sold
        self.parked = f"{tag}:parked"  # hash order id → checkout as JSON, waiting for the primary
        self.score = f"{tag}:score"  # pub/sub channel
        self.queue = f"{tag}:queue"  # sorted set fan → join time, unix µs, unique; before a draw the drawn score
        self.seen = f"{tag}:seen"  # sorted set fan who waits → last heard of, unix µs
        self.draw = f"{tag}:draw"  # sorted set entry (hash of the fan) → drawn score: everybody in the draw
        self.queue_epoch = f"{tag}:queue_epoch"  # integer: grows when a fan is put in before others
        self.fans = f"{tag}:fans"  # hash fan → "<join µs>[*: gave up an earlier place] <device digest or -> <identity>"
        self.codes = f"{tag}:codes"  # hash digest of an access code → the fan whom it let in
        self.identities = f"{tag}:identities"  # hash identity → its fan, where an identity gets one place
        self.join_clock = f"{tag}:join_clock"  # integer: the newest join time given
        self.admitted = f"{tag}:admitted"  # hash fan → "<admission no> <expiry µs> <entered µs, 0: not yet> <epoch>"
        self.admission_no = f"{tag}:admission_no"  # integer
        self.admission_bucket = f"{tag}:admission_bucket"  # hash tokens, at_us, deaf_us (no fan could be heard before)
        self.awaited = f"{tag}:awaited"  # sorted set admitted fan who has not entered yet → expiry, unix µs
        self.turnout = f"{tag}:turnout"  # hash entered, no_shows: counts
        self.sold_out = f"{tag}:sold_out"  # there while no seat is free
        self.conflicts = f"{tag}:conflicts"  # hash holds, conflicts: counts of holds tried

    def device(self, digest: str) -> str:
        """Sorted set of the fans who joined from one device in the last minute, by when (unix µs)."""
        return f"{{{self.event}}}:device:{digest}"

    def ended(self, name: str) -> str:
        """Key of the record of a hold that was released or has expired, as long as it is kept."""
        return f"{{{self.event}}}:ended:{name}"

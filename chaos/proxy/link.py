"""One proxied connection: two ends, and a link from each to the other.

Without toxics a chunk goes from one socket to the other in a single call. With toxics it goes through their stages.
The switch happens between two chunks on the event loop's thread, so nothing is lost or reordered. Flow control: a link
stops reading when the far socket is full or when its stages hold more than they may.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec

from chaos.proxy.end import SocketEnd
from chaos.proxy.toxics.stage import Attributes, Sink, Stage

_CHANCE: Final = random.Random()

AnyStage: TypeAlias = Stage[Any]  # paired with its attributes by the toxic that made it


class ToxicLease(msgspec.Struct, frozen=True):
    """How long a toxic may outlive whoever set it: it is removed at `ends_s` (monotonic) unless renewed before."""

    lasts_s: float
    ends_s: float


class Toxic(msgspec.Struct, frozen=True, kw_only=True):
    """A toxic as configured on a proxy: part of every connection that it hits by its toxicity."""

    stage_type: type[AnyStage]
    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Attributes
    lease: ToxicLease | None = None

    @property
    def direction(self) -> str:
        """`stream` is shown as it was written, and its case means nothing."""
        return self.stream.lower()


class _Placed:
    """A toxic's stage in one link. It stays when the toxicity spares the connection: a later roll may hit, and a
    stage may count."""

    __slots__ = ("_chance", "hit", "stage", "toxic")

    def __init__(self, toxic: Toxic, stage: AnyStage, seed: str | None) -> None:
        self.toxic = toxic
        self.stage = stage
        self._chance = _CHANCE
        if seed is not None:  # the rolls must not depend on how much the stage draws
            self._chance = random.Random(f"{seed}/toxicity")
            stage.random = random.Random(seed)
        self.roll()

    def roll(self) -> None:
        """Decide whether the toxic hits this direction of this connection."""
        self.hit = self._chance.random() < self.toxic.toxicity


class _Void:
    """Where a stalled connection's bytes go. Its ends are not told of each other's end either."""

    def feed(self, data: bytes, received_s: float) -> None:
        """Lose the chunk."""

    def end(self) -> None:
        """Keep the far end open."""


_VOID: Final = _Void()


class Link:
    """One direction of a connection: from the end it reads to the end it writes."""

    def __init__(self, connection: ProxiedConnection, source: SocketEnd, target: SocketEnd) -> None:
        self.source = source
        self.target = target
        self.head: Sink | None = None  # None: straight to the target's socket
        self.ended = False
        self.bytes_total = 0  # received
        self.staged_bytes = 0  # of these, how many went into a stage
        self._unstaged_bytes = 0  # and how many came out of the last one
        self._stalled = False
        self._connection = connection
        self._placed: list[_Placed] = []
        self._held_bytes = 0
        self._limit_bytes = 0
        self._target_full = False
        self._reading = True
        self._source_ended = False

    def begin(self) -> None:
        """Read, unless it holds too much already."""
        self.source.read(self._reading)

    def end(self) -> None:
        """The last stage is done, or there is none: close the far end once its socket has taken everything."""
        if not self.ended and not self._stalled:
            self.ended = True
            self.target.close()

    def feed(self, data: bytes, received_s: float) -> None:  # noqa: ARG002 - the stages' interface
        """What the last stage hands on."""
        if not self.ended and not self._stalled:
            self._unstaged_bytes += len(data)
            self.target.write(data)

    @property
    def sent_bytes(self) -> int:
        """How many bytes went on to the far end's socket."""
        return self.bytes_total - self.staged_bytes + self._unstaged_bytes

    def stall(self) -> None:
        """Carry nothing any more, neither bytes nor the end, while both sockets stay open."""
        self._stalled = True
        for placed in self._placed:
            placed.stage.discard()
        self._chain()
        if self._source_ended:
            self.source.close()

    def source_ended(self) -> None:
        """The end that this link reads sent its last byte, or is gone."""
        if self._source_ended:
            return
        self._source_ended = True
        if self._stalled:
            self.source.close()
        elif self.head is None:
            self.end()
        else:
            self.head.end()

    def target_lost(self) -> None:
        """Nobody reads any more: what is held back has no way to go."""
        self.ended = True
        for placed in self._placed:
            placed.stage.discard()

    def hold(self, change_bytes: int) -> None:
        """See `Holder`."""
        self._held_bytes += change_bytes
        self._regulate()

    def reset(self) -> None:
        """See `Holder`."""
        self._connection.cut(rst=True)

    def target_full(self, full: bool) -> None:
        """The far socket's buffer crossed one of its marks."""
        self._target_full = full
        self._regulate()

    def add(self, toxic: Toxic) -> None:
        """Append a toxic's stage."""
        stage = toxic.stage_type(self, toxic.attributes)
        self._placed.append(_Placed(toxic, stage, self._seed_of(toxic)))
        self._chain()

    def _seed_of(self, toxic: Toxic) -> str | None:
        """The seed of one toxic's random numbers. It leaves the name out: the same toxic may be added under another."""
        seed = self._connection.seed
        before = sum(placed.toxic.type == toxic.type for placed in self._placed)
        return None if seed is None else f"{seed}/{toxic.stream}/{toxic.type}/{before}"

    def update(self, toxic: Toxic) -> None:
        """Give a stage its new settings, and roll again."""
        for placed in self._placed:
            if placed.toxic.name == toxic.name:
                was_hit, placed.toxic = placed.hit, toxic
                placed.roll()
                placed.stage.attributes = toxic.attributes
                if placed.hit:
                    self._chain()
                    placed.stage.updated()
                elif was_hit:
                    placed.stage.release()
                    self._chain()

    def remove(self, toxic: Toxic, *, strict: bool) -> None:
        """Take a stage out. What it holds back goes on at once. `strict`: see `Stage.removed`."""
        for placed in [placed for placed in self._placed if placed.toxic.name == toxic.name]:
            if placed.hit:
                placed.stage.release()
            placed.stage.removed(strict=strict)
            self._placed.remove(placed)
        self._chain()

    def _chain(self) -> None:
        """Connect the stages, from the last to the first."""
        following: Sink = self
        hit = [placed.stage for placed in self._placed if placed.hit]
        for stage in reversed(hit):
            stage.next = following
            following = stage
        for placed in self._placed:
            if not placed.hit:
                placed.stage.next = self
        self.head = _VOID if self._stalled else hit[0] if hit else None
        self._limit_bytes = max((stage.buffer_bytes for stage in hit), default=0)
        self._regulate()

    def _regulate(self) -> None:
        reading = self._stalled or (not self._target_full and self._held_bytes <= self._limit_bytes)
        if reading != self._reading:
            self._reading = reading
            self.source.read(reading)


class ProxiedConnection:
    """A client, its upstream and the two links between them."""

    def __init__(
        self,
        client: SocketEnd,
        upstream: SocketEnd,
        on_lost: Callable[[ProxiedConnection], None],
        *,
        number: int,
        seed: str | None,
    ) -> None:
        self.number = number
        self.seed = seed  # of its own dice; None: chance
        self.stalled = False
        self.upstream_link = Link(self, client, upstream)
        self.downstream_link = Link(self, upstream, client)
        self.opened_s = time.monotonic()
        self._client = client
        self._upstream = upstream
        self._on_lost = on_lost
        self._ends_lost = 0

    def start(self, toxics: Iterable[Toxic]) -> None:
        """Let data flow, through these toxics."""
        for toxic in toxics:
            self.link(toxic.direction).add(toxic)
        self._client.join(self, self.upstream_link, self.downstream_link)
        self._upstream.join(self, self.downstream_link, self.upstream_link)
        self._client.begin()
        self._upstream.begin()

    def link(self, stream: str) -> Link:
        """The direction of this name."""
        return self.upstream_link if stream == "upstream" else self.downstream_link

    @property
    def is_open(self) -> bool:
        """Whether both ends are open."""
        return self._client.is_open and self._upstream.is_open

    @property
    def client_address(self) -> str:
        """Who connected."""
        return self._client.peer

    def stall(self) -> None:
        """Keep both sockets open and carry nothing, as a line that broke without a word. For good: data is lost."""
        self.stalled = True
        self.upstream_link.stall()
        self.downstream_link.stall()

    def cut(self, *, rst: bool) -> None:
        """Close both ends now."""
        self.upstream_link.target_lost()
        self.downstream_link.target_lost()
        self._client.cut(rst=rst)
        self._upstream.cut(rst=rst)

    def end_lost(self) -> None:
        """One of the ends is gone; called once for each."""
        self._ends_lost += 1
        if self._ends_lost == 2:
            self._on_lost(self)

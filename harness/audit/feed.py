"""Checks `feed_gap_free`: no follower of the seat feed misses a change without being told.

Each follower's stream is read in the order in which it arrived, across disconnects. What all followers saw together is
the log of the feed; snapshots and the resting seat map must equal what the log adds up to.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import SEAT_STATES, Evidence
from harness.audit.operations import Operation, SeatsValue
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, at_rest
from harness.record.feed_walk import FeedWalk, Ints, Role, firsts
from harness.record.schema import AS_NOTED

_LATE_MAX_S: Final = 5.0  # in undisturbed times a change that is not with a follower by then does not come any more
_SOON_S: Final = 1.0  # so near to a fault a grant may be lost, and what the feed would say of it
_FREE, _TAKEN, _SOLD = (0,), (1, 2), (2,)
_HIGHEST: Final = len(SEAT_STATES)


class Event(NamedTuple):
    """One row of a follower's stream."""

    actor: str
    event: str
    t_s: float
    epoch: str
    seq: int | None
    value: int | None
    key: str


@dataclass(slots=True)
class SeenSnapshot:
    """A complete state as one follower got it: the seats that are not free."""

    head: Event
    states: dict[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Every seat that it announced has arrived."""
        return len(self.states) == self.head.value


@dataclass(slots=True)
class Feed:
    """What all followers saw together: per epoch, the change at each sequence number, and the snapshots.

    `chances`: how often what was seen could have contradicted what was known.
    """

    changes: dict[str, dict[int, Event]] = field(default_factory=dict)
    snapshots: dict[str, list[SeenSnapshot]] = field(default_factory=dict)
    chances: int = 0


@dataclass(slots=True)
class _Follower:
    """Where one follower stands. `seq` null: it needs a snapshot next. `told`: it was announced that one comes."""

    epoch: str = ""
    seq: int | None = None
    told: bool = True
    last: Event | None = None
    filling: SeenSnapshot | None = None

    def follow(self, change: Event) -> None:
        """It stands at that change, which is in order."""
        self.epoch, self.seq, self.told = change.epoch, change.seq, False
        self.filling, self.last = None, change


def feed_gap_free(evidence: Evidence) -> Tally:
    """Sequence numbers are contiguous per epoch for each follower, or an explicit resync says that history is gone.

    A reconnect goes on where the follower asked to continue. A sequence number means the same change to everybody, and
    changes add up to every later snapshot and, where its sequence number is known, to the seat map at rest.

    Chances: changes that a follower got after a known point (another change, a snapshot, or where it asked to go on),
    snapshots that came unannounced, and maps that were compared with the sum of changes. A first snapshot is none.

    Of many followers most are summed up (`harness.record.feed_walk`): a stretch is so many changes in order.

    Silence is not order: where seats changed hands of which no follower heard, or a follower heard nothing more while
    others did, nothing is decided.
    """
    tally = Tally(evidence)
    walked = evidence.feed
    plain = _plain_changes(walked)
    feed = Feed(changes=_logged(walked, plain), chances=walked.stand_for(plain))
    tally.checked = feed.chances
    followers: dict[str, _Follower] = {}
    for event, role, before in _others(walked, plain):
        follower = followers.setdefault(event.actor, _Follower())
        if before is not None:
            follower.follow(before)
        if role is Role.NOTED:
            _log(event, feed.changes.setdefault(event.epoch, {}), event.seq or 0, tally)
            continue
        if event.event == "connect":
            _connected(follower, event)
        elif event.event == "resync":
            follower.told = True
            follower.seq = None
        elif event.event == "snapshot":
            _snapshot(follower, event, feed, tally)
        else:
            _change(follower, event, role, feed, tally)
        follower.last = event
    _find_noted(feed)
    _compare_snapshots(feed, tally)
    _compare_resting_map(feed, tally)
    tally.chances = feed.chances
    if why := _unnoted(walked) or unheard(evidence, walked) or left_behind(evidence, walked):
        tally.undecided, tally.note = True, why
    tally.note = "; ".join(filter(None, (tally.note, _summed(evidence, walked))))
    return tally


def _unnoted(walked: FeedWalk) -> str:
    missing = walked.unnoted
    return f"the record does not say what {missing:,} changes were that followers were told of" if missing else ""


def _summed(evidence: Evidence, walked: FeedWalk) -> str:
    """Of how many followers the record has every event, and what of the others was summed up."""
    summed = evidence.stretches["actor"]
    if not len(summed):
        return ""
    actors = np.unique(walked.actor[~walked.looks_in])
    some = len(pc.unique(summed))
    changes = int(pc.sum(pc.add(pc.subtract(evidence.stretches["seq_to"], evidence.stretches["seq_from"]), 1)).as_py())
    return (
        f"{len(actors) - some:,} followers were seen event by event; of {some:,} others {changes:,} changes were "
        f"checked and summed up where they arrived, in {len(summed):,} stretches without a gap, and all else was seen"
    )


class _Claim(NamedTuple):
    """A fan was told at `t_to_s`, having asked at `t_from_s`, that a seat is in one of these states now."""

    seat: str
    states: tuple[int, ...]
    t_from_s: float
    t_to_s: float
    beside_s: float = _LATE_MAX_S  # so near to a fault it proves nothing
    not_after: tuple[int, ...] = ()  # nor after these states


def unheard(evidence: Evidence, walked: FeedWalk) -> str:
    """Which seats changed hands while somebody followed, of which no follower ever heard; "" where there are none.

    Sequence numbers say nothing of a change that was never given one. A seat that was granted must be taken by the feed
    at some time around the grant, one that was given back free, one that was sold sold; and between two fans who were
    granted it, free. Left out: what was beside a fault, and what came late. Who only looks in does not follow.
    """
    told_s = walked.t_s[walked.are("snapshot") & ~walked.looks_in]
    if not len(told_s):
        return ""
    from_s, until_s = float(told_s.min()), evidence.duration_s - _LATE_MAX_S
    heard = _heard(walked)
    unheard_of = {
        claim.seat
        for claim in _claims(evidence)
        if from_s < claim.t_from_s
        and claim.t_to_s < until_s
        and not _is_told(heard.get(claim.seat, []), claim)
        and not evidence.faults_between(claim.t_from_s - claim.beside_s, claim.t_to_s + claim.beside_s)
    }
    if not unheard_of:
        return ""
    return f"no follower heard of {len(unheard_of)} seats that changed hands, as {min(unheard_of)}"


def _claims(evidence: Evidence) -> Iterator[_Claim]:
    granted_s: dict[str, float] = {}
    latest: dict[str, Operation[SeatsValue]] = {}
    for hold in evidence.takings.ok:
        granted_s[hold.key] = hold.t_invoke_s
        for seat in hold.value.seats:
            before = latest.get(seat, hold)
            latest[seat] = hold
            if before.actor != hold.actor and before.t_end_s < hold.t_invoke_s:
                between_s = (before.t_end_s + hold.t_invoke_s) / 2
                if not evidence.faults_between(before.t_invoke_s, between_s):
                    yield _Claim(seat, _FREE, between_s, hold.t_end_s, not_after=_SOLD)
            yield _Claim(seat, _TAKEN, hold.t_invoke_s, hold.t_end_s, _SOON_S)
    for release in evidence.releases.ok:
        since_s = granted_s.get(release.key)
        if since_s is not None and not evidence.faults_between(since_s, release.t_end_s):
            for seat in release.value.seats:
                yield _Claim(seat, _FREE, release.t_invoke_s, release.t_end_s)
    for pay in evidence.pays.ok:
        if pay.value.state == "confirmed":
            for seat in pay.value.seats:
                yield _Claim(seat, _SOLD, pay.t_invoke_s, pay.t_end_s)


def _heard(walked: FeedWalk) -> dict[str, list[tuple[float, int]]]:
    """Seat → (when it was first heard, state) of every change, by time."""
    rows = walked.rows.select(["key", "epoch", "seq", "value", "t_s"]).take(pa.array(walked.said))
    rows = rows.filter(pc.is_valid(rows["value"]))
    first = rows.group_by(["key", "epoch", "seq", "value"]).aggregate([("t_s", "min")]).sort_by("t_s_min")
    heard: dict[str, list[tuple[float, int]]] = {}
    for seat, t_s, state in zip(*(first[name].to_pylist() for name in ("key", "t_s_min", "value")), strict=True):
        heard.setdefault(seat, []).append((t_s, state))
    return heard


def _is_told(changes: list[tuple[float, int]], claim: _Claim) -> bool:
    """Whether the feed had the seat in such a state at some time around the claim. Before any change it is free."""
    first = bisect.bisect(changes, (claim.t_from_s, _HIGHEST))
    last = bisect.bisect(changes, (claim.t_to_s + _LATE_MAX_S, _HIGHEST))
    before = changes[first - 1][1] if first else SEAT_STATES.index("free")
    return before in (*claim.states, *claim.not_after) or any(state in claim.states for _, state in changes[first:last])


def left_behind(evidence: Evidence, walked: FeedWalk) -> str:
    """How many followers were connected at the end and heard nothing of changes that others had long heard of."""
    end_s = evidence.duration_s
    long_s = end_s - _LATE_MAX_S
    heard = np.flatnonzero(~walked.are("disconnect"))
    if not len(heard) or evidence.faults_between(long_s - _LATE_MAX_S, end_s):
        return ""
    left = walked.rows.select(["actor", "t_s"]).take(pa.array(np.flatnonzero(walked.are("disconnect"))))
    gone = left.group_by("actor").aggregate([("t_s", "max")])
    gone_s = dict(zip(gone["actor"].to_pylist(), gone["t_s_max"].to_pylist(), strict=True))
    numbered = np.flatnonzero(walked.are("seat") & walked.has_seq & (walked.t_s <= long_s))
    newest = np.full(int(walked.epoch.max()) + 1, -1, np.int64)
    np.maximum.at(newest, walked.epoch[numbered], walked.seq[numbered])
    ends = heard[np.flatnonzero(np.diff(walked.actor[heard], append=-1))]
    newest_there = newest[walked.epoch[ends]]
    is_behind = ~walked.looks_in[ends] & (walked.t_s[ends] < long_s) & (np.maximum(walked.seq[ends], 0) < newest_there)
    behind = [
        event
        for event in _made(walked, ends[is_behind])
        if gone_s.get(event.actor, event.t_s - 1.0) < event.t_s  # it was connected
    ]
    if not behind:
        return ""
    one = behind[0]
    return f"{len(behind)} followers heard nothing more, as {one.actor} after {_point(one)}, while others went on"


def _plain_changes(walked: FeedWalk) -> Ints:
    """The changes that simply follow the one before on their stream and say what everybody else's say: nearly all.

    They are counted, not walked through. Of a stretch only the first change has to follow.
    """
    actor, epoch, key, seq, value, role = (
        walked.actor, walked.epoch, walked.key, walked.seq, walked.value, walked.role
    )  # fmt: skip
    is_change = walked.are("seat") & walked.has_seq
    is_plain = np.zeros(len(role), dtype=bool)
    is_plain[1:] = is_change[1:] & is_change[:-1] & (seq[1:] - seq[:-1] == 1)
    is_plain[1:] &= (actor[1:] == actor[:-1]) & (epoch[1:] == epoch[:-1])
    is_plain |= (role == Role.NOTED) | (role == Role.LAST)
    said = np.flatnonzero(is_plain & (role <= Role.NOTED))
    first = said[firsts(epoch[said], seq[said])]
    is_plain[said] = (key[said] == key[first]) & (value[said] == value[first])
    return np.flatnonzero(is_plain)


def _logged(walked: FeedWalk, plain: Ints) -> dict[str, dict[int, Event]]:
    """Epoch → sequence number → the first of the plain changes that has it."""
    said = plain[walked.role[plain] <= Role.NOTED]
    first = said[firsts(walked.epoch[said], walked.seq[said]) == np.arange(len(said))]
    changes: dict[str, dict[int, Event]] = {}
    for event in _made(walked, first):
        changes.setdefault(event.epoch, {})[event.seq or 0] = event
    return changes


def _others(walked: FeedWalk, plain: Ints) -> Iterator[tuple[Event, Role, Event | None]]:
    """Every event that is no plain change, with the plain change right before it on its stream, if there is one."""
    is_plain = np.zeros(len(walked.role), dtype=bool)
    is_plain[plain] = True
    here = np.flatnonzero(~walked.are("disconnect"))  # which says nothing of the seats
    is_plain_here = is_plain[here]
    others = np.flatnonzero(~is_plain_here)
    after_plain = np.concatenate(([False], is_plain_here[:-1]))[others] if len(others) else np.zeros(0, dtype=bool)
    before = _made(walked, here[others[after_plain] - 1])
    roles = walked.role[here[others]].tolist()
    for event, role, is_after in zip(_made(walked, here[others]), roles, after_plain.tolist(), strict=True):
        last = next(before) if is_after else None
        yield event, Role(role), last if last is not None and last.actor == event.actor else None


def _made(walked: FeedWalk, rows: Ints) -> Iterator[Event]:
    taken = walked.rows.select(Event._fields).take(pa.array(rows))
    return map(Event._make, zip(*(taken.column(name).to_pylist() for name in Event._fields), strict=True))


def _connected(follower: _Follower, event: Event) -> None:
    """A new connection continues from what it asked for, or starts afresh."""
    follower.filling = None
    follower.told = event.seq is None
    follower.seq = event.seq
    if event.seq is not None:
        follower.epoch = event.epoch or follower.epoch


def _snapshot(follower: _Follower, event: Event, feed: Feed, tally: Tally) -> None:
    tally.checked += 1
    feed.chances += follower.seq is not None and not follower.told
    repeats = follower.epoch == event.epoch and follower.seq == event.seq
    if not (follower.told or repeats):
        summary = f"{event.actor} was moved to {_point(event)} without a resync"
        tally.violated(summary, *_before(follower), _moment(event, f"got a snapshot as of {_point(event)}"))
    follower.epoch, follower.seq, follower.told = event.epoch, event.seq, False
    seen = SeenSnapshot(event)
    feed.snapshots.setdefault(event.epoch, []).append(seen)
    follower.filling = None if event.key == AS_NOTED else seen


def _change(follower: _Follower, event: Event, role: Role, feed: Feed, tally: Tally) -> None:
    filling = follower.filling
    if filling and (event.epoch, event.seq) == (filling.head.epoch, filling.head.seq) and not filling.whole:
        filling.states[event.key] = event.value or 0
        return
    follower.filling = None
    tally.checked += 1
    feed.chances += follower.seq is not None
    problem = _out_of_order(follower, event)
    if problem:
        tally.violated(f"{event.actor} {problem}", *_before(follower), _moment(event, _saw(event)))
    follower.epoch, follower.seq, follower.told = event.epoch, event.seq, False
    if event.seq is not None and role is Role.ROW:
        _log(event, feed.changes.setdefault(event.epoch, {}), event.seq, tally)


def _out_of_order(follower: _Follower, event: Event) -> str:
    if event.seq is None:
        return f"got a change of seat {event.key} without a sequence number"
    if follower.seq is None:
        return f"got change {event.seq} before any snapshot"
    if follower.epoch != event.epoch:
        return f"got a change of epoch {event.epoch} after epoch {follower.epoch} without a resync"
    if event.seq <= follower.seq:
        return f"got change {event.seq} again or too late, after {follower.seq}"
    missed = event.seq - follower.seq - 1
    return f"missed {missed} changes after {follower.seq} without a resync" if missed else ""


def _log(event: Event, changes: dict[int, Event], seq: int, tally: Tally) -> None:
    known = changes.setdefault(seq, event)
    if (known.key, known.value) != (event.key, event.value):
        summary = f"change {seq} of epoch {event.epoch} means two things: {_saw(known)}, {_saw(event)}"
        tally.violated(summary, _moment(known, _saw(known)), _moment(event, _saw(event)))


def _find_noted(feed: Feed) -> None:
    """A snapshot that its worker had noted already has the seats of the one that was written out."""
    for snapshots in feed.snapshots.values():
        written = {seen.head.seq: seen.states for seen in snapshots if seen.head.key != AS_NOTED and seen.whole}
        for seen in snapshots:
            if seen.head.key == AS_NOTED:
                seen.states = written.get(seen.head.seq, seen.states)


def _compare_snapshots(feed: Feed, tally: Tally) -> None:
    """Add the log up from each epoch's first snapshot on, and compare every later one with the sum."""
    for epoch, snapshots in feed.snapshots.items():
        whole = sorted((s for s in snapshots if s.whole and s.head.seq is not None), key=lambda s: s.head.seq or 0)
        tally.unknowns += len(snapshots) - len(whole)
        replay: _Replay | None = None
        for snapshot in whole:
            seq = snapshot.head.seq or 0
            if replay is None or not replay.advance(seq):
                replay = _Replay(feed.changes.get(epoch, {}), dict(snapshot.states), seq)
                continue
            feed.chances += 1
            seat = _difference(replay.states, snapshot.states)
            if seat is not None:
                added, shown = _state(replay.states, seat), _state(snapshot.states, seat)
                summary = f"changes add up to {added} for seat {seat}, but the snapshot at {seq} shows it {shown}"
                tally.violated(summary, _moment(snapshot.head, f"got a snapshot at {seq} with seat {seat} {shown}"))


def _compare_resting_map(feed: Feed, tally: Tally) -> None:
    if tally.evidence.unrest:
        tally.note = "the platform did not come to rest: its last seat map is not compared with the sum of changes"
        return
    facts = tally.evidence.run.seat_map_at_rest
    if facts is None or facts.seq is None or not tally.evidence.seats:
        tally.note = "the resting seat map has no sequence number: not compared with the sum of changes"
        return
    whole = [s for s in feed.snapshots.get(facts.epoch, []) if s.whole and (s.head.seq or 0) <= facts.seq]
    first = min(whole, key=lambda s: s.head.seq or 0, default=None)
    if first is None:
        tally.note = f"nobody followed epoch {facts.epoch!r}, in which the platform came to rest"
        return
    replay = _Replay(feed.changes.get(facts.epoch, {}), dict(first.states), first.head.seq or 0)
    resting = {seat: SEAT_STATES.index(state) for seat, state in tally.evidence.seats if state != "free"}
    if not replay.advance(facts.seq):
        _compare_but_for_the_last(replay, resting, facts.seq, tally)
        return
    tally.checked += 1
    feed.chances += replay.seq > (first.head.seq or 0)
    seat = _difference(replay.states, resting)
    if seat is not None:
        added, shown = _state(replay.states, seat), _state(resting, seat)
        summary = f"changes up to {facts.seq} add up to {added} for seat {seat}, but at rest it is {shown}"
        tally.violated(summary, at_rest("seat map", f"seat {seat} is {shown} as of {facts.seq}"))


def _compare_but_for_the_last(replay: _Replay, resting: dict[str, int], seq: int, tally: Tally) -> None:
    """Of the changes up to the resting map nobody saw the last ones: each of them can have changed one seat."""
    unseen = seq - replay.seq
    tally.note = f"nobody followed the feed to {seq}, where the platform came to rest"
    names = replay.states.keys() | resting.keys()
    differ = sorted(seat for seat in names if replay.states.get(seat, 0) != resting.get(seat, 0))
    if len(differ) > unseen:
        added, shown = _state(replay.states, differ[0]), _state(resting, differ[0])
        summary = f"changes up to {replay.seq} add up to {added} for seat {differ[0]}, but at rest it is {shown}"
        told = f"{len(differ)} seats are otherwise, as of {seq}: {unseen} changes cannot have done that"
        tally.violated(
            f"{summary}; {len(differ) - 1} more differ too, after {unseen} changes", at_rest("seat map", told)
        )


@dataclass(slots=True)
class _Replay:
    """The state that the log adds up to; `states` holds the seats that are not free."""

    changes: dict[int, Event]
    states: dict[str, int]
    seq: int

    def advance(self, seq: int) -> bool:
        """Apply changes up to and including `seq`; False, and no further, where nobody saw one of them."""
        while self.seq < seq:
            change = self.changes.get(self.seq + 1)
            if change is None:
                return False
            self.seq += 1
            if change.value:
                self.states[change.key] = change.value
            else:
                self.states.pop(change.key, None)
        return True


def _difference(left: dict[str, int], right: dict[str, int]) -> str | None:
    """The first seat that the two do not agree on."""
    if left == right:
        return None
    return min(seat for seat in left.keys() | right.keys() if left.get(seat, 0) != right.get(seat, 0))


def _state(states: dict[str, int], seat: str) -> str:
    return SEAT_STATES[states.get(seat, 0)]


def _before(follower: _Follower) -> list[Moment]:
    last = follower.last
    if last is None:
        return []
    match last.event:
        case "connect" if last.seq is not None:
            return [_moment(last, f"connected, asking to continue after {last.seq}")]
        case "connect":
            return [_moment(last, "connected")]
        case "seat":
            return [_moment(last, _saw(last))]
        case _:
            return [_moment(last, f"got a {last.event} at {_point(last)}")]


def _moment(event: Event, text: str) -> Moment:
    return Moment(event.actor, text, (event.t_s, event.t_s))


def _saw(event: Event) -> str:
    state = SEAT_STATES[event.value] if event.value in (0, 1, 2) else f"{event.value}"
    return f"change {event.seq}: seat {event.key} is {state}"


def _point(event: Event) -> str:
    return f"{event.seq} of epoch {event.epoch}"


FEED_GAP_FREE: Final = specified("feed_gap_free", feed_gap_free)

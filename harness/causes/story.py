"""One fan's story from the record: every step with its wait, its retries and its seats, and the faults meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.causes.stretches import FAULT, Stretch
from harness.errors import InputError
from harness.record.schema import Function, Outcome
from harness.record.verdict import Story, StoryLine
from harness.sli.measured import Observations
from harness.sli.measures.buyers import buyers, told_s
from harness.yaml_file import suggest

_SEATS_MOST: Final = 6
_LINES_MOST: Final = 400
_AGAIN: Final = "tried again"
_LIMIT: Final = "limit"
_SUMMED: Final = "; the requests of this fan are summed up with those of others, so only operations are told"
_Step = tuple[StoryLine, float]
"""A line of a story, and when what it tells ended."""


class _Value(msgspec.Struct, frozen=True):
    """What the values of operations may hold, see `harness.record.schema.Function`."""

    position: int | None = None
    parked: bool = False
    admission_no: int | None = None
    seats: tuple[str, ...] = ()
    pool: str = ""
    quantity: int | None = None
    free: int | dict[str, int | None] | None = None  # a table: of each section
    stale: bool = False
    state: str = ""
    amount_cents: int | None = None
    ttl_s: float | None = None


def story(seen: Observations, name: str, found: Sequence[Stretch]) -> Story:
    """The story of the actor of that name. Raises InputError when nobody of that name is in the record."""
    actor = actor_of(seen, name)
    steps = sorted((*_line(seen, actor), *_operations(seen, actor)), key=lambda step: step[0].t_s)
    lines = [msgspec.structs.replace(line, faults=_faults(line.t_s, end_s, found)) for line, end_s in steps]
    whose = seen.record.table("requests")["actor"]
    is_summed = not pc.any(pc.equal(whose, actor)).as_py() and pc.any(pc.equal(whose, "")).as_py()
    sum_up = f"{_sum_up(seen, actor, lines)}{_SUMMED if is_summed else ''}"
    return Story(actor=actor, sum_up=sum_up, lines=tuple(_cut(lines)))


def actor_of(seen: Observations, name: str) -> str:
    """The actor that a name or a number names: `fan-000158`, `158`. Raises InputError."""
    everybody = pc.unique(seen.record.table("operations")["actor"]).to_pylist()
    if name in everybody:
        return name
    numbered = [actor for actor in everybody if name.isdigit() and actor.startswith("fan-") and _number(actor) == name]
    if len(numbered) == 1:
        return str(numbered[0])
    hint = suggest(name, sorted(everybody)[:5000]) or f"e.g. {next(iter(sorted(everybody)), 'nobody')}"
    raise InputError(f"nobody in the record is called {name}", hint=hint)


def unlucky(seen: Observations) -> tuple[tuple[str, str], ...]:
    """Fans whose stories say most, as (why, actor): who came first and got nothing, who waited longest for a ticket.

    Fans who asked for more than they may are left out.
    """
    over = set(seen.history.holds.failed_with(_LIMIT).actors.to_pylist())
    found = [one for one in buyers(seen) if one.actor not in over]
    told = told_s(seen.history)
    empty = [one for one in found if not one.told and one.seat_left]
    waited = [(told[one.actor] - one.t_came_s, one.actor) for one in found if one.actor in told]
    picked = [("Came first of those who got nothing though something was left", empty[0].actor)] if empty else []
    if waited:
        picked.append(("Waited longest for a ticket", max(waited)[1]))
    return tuple(picked)


def _number(actor: str) -> str:
    return actor.rpartition("-")[2].lstrip("0") or "0"


def _of(table: pa.Table, actor: str) -> pa.Table:
    return table.filter(pc.equal(table["actor"], actor))


def _operations(seen: Observations, actor: str) -> Iterator[_Step]:
    """Every operation and when it ended; one without an end is told as of its beginning."""
    decode = msgspec.json.Decoder(_Value).decode
    tries = _tries(seen, actor)
    rows = _of(seen.record.table("operations"), actor).to_pylist()
    for row in rows:
        end_s, outcome = row["t_complete_s"], row["outcome"]
        what = _what(row["function"], decode(row["value"]), outcome == Outcome.OK.value)
        answers = tries.get((row["worker"], row["op"]), "")
        line = StoryLine(
            t_s=row["t_invoke_s"],
            took_s=None if end_s is None else end_s - row["t_intended_s"],
            what=what if row["retry_of"] is None else f"{_AGAIN}: {what}",
            ended="; ".join(filter(None, (_ended(outcome, row["error"]), answers))),
        )
        yield line, line.t_s if end_s is None else end_s


def _tries(seen: Observations, actor: str) -> Mapping[tuple[int, int], str]:
    """(worker, operation) → its requests that were not ok, in words."""
    own = _of(seen.record.table("requests"), actor)
    bad = own.filter(pc.and_(pc.is_valid(own["op"]), pc.not_equal(own["outcome"], Outcome.OK.value)))
    found: dict[tuple[int, int], list[str]] = {}
    columns = ("worker", "op", "status", "error")
    for worker, op, status, error in zip(*(bad[name].to_pylist() for name in columns), strict=True):
        found.setdefault((worker, op), []).append(str(status) if status else error.replace("_", " "))
    return {key: f"answered {', '.join(dict.fromkeys(answers))}" for key, answers in found.items()}


def _what(function: str, value: _Value, ok: bool) -> str:
    goods = _goods(value)
    match function:
        case Function.JOIN.value:
            place = f" at place {value.position:,}" if value.position is not None else ""
            return f"joined the line{place}{', parked' if value.parked else ''}" if ok else "tried to join the line"
        case Function.ENTER.value:
            number = f" as number {value.admission_no:,}" if value.admission_no is not None else ""
            return f"was let in{number}" if ok else "tried to go in"
        case Function.LOOK.value | Function.STOCK.value:
            free = f": {value.free:,} free" if isinstance(value.free, int) else ""
            return f"looked what is left{free}{', marked stale' if value.stale else ''}"
        case Function.COUNT.value:
            return f"looked how many are left in each section{', marked stale' if value.stale else ''}"
        case Function.HOLD.value:
            return f"{'holds' if ok else 'asked for'} {goods}"
        case Function.RELEASE.value:
            return f"gave back {goods}"
        case Function.PAY.value:
            amount = f", {value.amount_cents / 100:,.2f}" if value.amount_cents is not None else ""
            return f"paid for {goods}{amount}{_state(value)}"
        case Function.ORDER.value:
            return f"looked up the order{_state(value)}"
        case _:
            return function.replace("_", " ")


def _state(value: _Value) -> str:
    return f": {value.state}" if value.state else ""


def _goods(value: _Value) -> str:
    if value.seats:
        more = f" and {len(value.seats) - _SEATS_MOST} more" if len(value.seats) > _SEATS_MOST else ""
        return f"{', '.join(value.seats[:_SEATS_MOST])}{more}"
    return f"{value.quantity or 'some'} of {value.pool}" if value.pool else "something"


def _ended(outcome: str, error: str) -> str:
    if outcome == Outcome.OK.value:
        return "ok"
    return f"{outcome}: {error.replace('_', ' ')}" if error else outcome


def _line(seen: Observations, actor: str) -> Iterator[_Step]:
    """What the fan was told while waiting: stretches of positions and of pauses, and each cut and return."""
    told = _of(seen.every_position, actor).sort_by("t_s")
    rows = list(zip(*(told[name].to_pylist() for name in ("event", "t_s", "value", "key")), strict=True))
    at = 0
    while at < len(rows):
        event, t_s, _, key = rows[at]
        end = at
        while end + 1 < len(rows) and rows[end + 1][0] == event and event in ("position", "paused"):
            end += 1
        last_s = rows[end][1]
        yield _told(event, t_s, key, [row[2] for row in rows[at : end + 1]], last_s), last_s
        at = end + 1


def _told(event: str, t_s: float, key: str, values: Sequence[int | None], last_s: float) -> StoryLine:
    known = [one for one in values if one is not None]
    times = "" if len(values) == 1 else f" {len(values):,} times"
    match event:
        case "position":
            course = (
                f"{known[0]:,} to {known[-1]:,}"
                if known and known[0] != known[-1]
                else f"{known[0]:,}"
                if known
                else ""
            )
            what = f"was told{times} their place: {course}" if course else "waited without a place"
        case "paused":
            what = f"was told{times} that the line is paused"
        case "connect":
            what = "opened the stream of positions"
        case "disconnect":
            what = (
                f"lost the stream of positions ({key.replace('_', ' ')})" if key else "closed the stream of positions"
            )
        case "admitted":
            what = "was called in"
        case "refused":
            what = f"was turned away: {key.replace('_', ' ')}"
        case _:
            what = f"was told: {event.replace('_', ' ')}"
    return StoryLine(t_s=t_s, took_s=last_s - t_s if last_s > t_s else None, what=what, ended="")


def _faults(from_s: float, to_s: float, found: Sequence[Stretch]) -> tuple[str, ...]:
    """The faults that were in force at some time between the two instants."""
    return tuple(one.name for one in found if one.kind == FAULT and one.t_from_s <= to_s and from_s <= one.t_to_s)


def _cut(lines: Sequence[StoryLine]) -> Iterator[StoryLine]:
    """The first lines of a story, and how many more there are."""
    yield from lines[:_LINES_MOST]
    if more := lines[_LINES_MOST:]:
        what = "and 1 more step" if len(more) == 1 else f"and {len(more):,} more steps"
        yield StoryLine(t_s=more[0].t_s, took_s=None, what=what, ended="")


def _sum_up(seen: Observations, actor: str, lines: Sequence[StoryLine]) -> str:
    if not lines:
        return "did nothing that is in the record"
    told = told_s(seen.history).get(actor)
    if told is not None:
        return f"has a ticket, told {told - lines[0].t_s:.1f} s after the first step"
    last = lines[-1]
    return f"has no ticket; last step at T{last.t_s:+.1f} s: {last.what}, {last.ended or 'and then nothing'}"

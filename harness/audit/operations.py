"""The operations of the history, kept as Arrow columns; an operation becomes an object only while a checker reads it.

A history of ten million operations would not fit in memory as objects. A checker therefore looks at columns where they
tell all, also at the fields of values (`Operations.column`), walks the operations that are left, keeps of them what it
needs, and comes back by number for the few that it has to show.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Final, Generic, TypeVar, cast, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.record.schema import Function, Outcome

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
COLUMNS: Final = ("actor", "identity", "key", "value", "t_invoke_s", "t_complete_s", "outcome", "error")
"""What is kept of an operation."""
_CODED: Final = ("actor", "identity", "outcome", "error")
_BATCH_ROWS: Final = 16_384
_FEW: Final = 64
_NUMBER_MAX: Final = 2**62
_TYPES: Final = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    tuple[str, ...]: pa.list_(pa.string()),
}
"""The types of the values' fields that can be had as columns."""
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


class Value(msgspec.Struct, frozen=True, gc=False):
    """Base of the parsed `value` column, see `Function` for what each field means. Unknown fields are left alone."""


class JoinValue(Value, frozen=True, gc=False):
    """What a join was answered. `ticket`: how it was forged, where one was presented that was not the bearer's.

    `code`: a digest of the access code that was shown; "invented" is no ticket but a code that nobody was given.
    `again`: the fan showed the ticket that they were given before.
    """

    position: int | None = None
    epoch: str = ""
    parked: bool = False
    ticket: str = ""
    code: str = ""
    again: bool = False


class EnterValue(Value, frozen=True, gc=False):
    """`admission_no` is null unless the exchange succeeded. `epoch`: numbers of different epochs tell no order."""

    admission_no: int | None = None
    epoch: str = ""


class SeatsValue(Value, frozen=True, gc=False):
    """Of hold, release and sweep: the seats that were meant or granted, and for a hold its time to live.

    `asked`: the seats that a granted hold was asked for; null where the adapter does not say.
    Without seats: `quantity` tickets of a `pool` were asked for, of which `granted` were given; null: it was not said.
    `declared`: the fan who asks declared the need of an accessible seat.
    """

    seats: tuple[str, ...] = ()
    declared: bool = False
    ttl_s: float | None = None
    asked: tuple[str, ...] | None = None
    pool: str = ""
    quantity: int = 0
    granted: int | None = None

    @property
    def tickets(self) -> int:
        """How many it is about."""
        return len(self.seats) or (self.quantity if self.granted is None else self.granted)

    @property
    def words(self) -> str:
        """What was meant, in words."""
        return goods(self.seats, {self.pool: self.quantity} if self.pool else {})


class StockValue(Value, frozen=True, gc=False):
    """What was left of each pool: pool → free tickets, null where it does not say. `stale`: it says that it is old."""

    pools: dict[str, int | None] = {}
    prices_cents: dict[str, int] = {}
    stale: bool = False

    @property
    def free(self) -> int | None:
        """What is left in all; null where a pool does not say."""
        left = list(self.pools.values())
        return None if not left or None in left else sum(max(free or 0, 0) for free in left)

    @property
    def left(self) -> int | None:
        """The same: any fan may have it."""
        return self.free


class ProbeValue(Value, frozen=True, gc=False):
    """Of a try to get what is not due: the seats, and the answer's status where it got in and was refused them.

    `hold_id`: the hold of another fan that it was tried with, "" for none.
    """

    seats: tuple[str, ...] = ()
    status: int = 0
    hold_id: str = ""


class LookValue(Value, frozen=True, gc=False):
    """What a seat map showed: `free` seats, null where it did not say; `stale`: the map says that it is old.

    `theirs`: free seats that the fan may have, null where no seat is kept for some. `declared`: the fan needs such one.

    `map`: names its states; null where they were not noted.

    `states`: those of the map of that digest, packed, at the first look of each worker that saw it. `layout`: the names
    of the seats in the same order, packed, and `accessible` seats with their wheelchair places, at the first look of
    each worker.
    """

    free: int | None = None
    theirs: int | None = None
    declared: bool = False
    stale: bool = False
    map: str | None = None
    states: str | None = None
    layout: str | None = None
    accessible: dict[str, str] = {}

    @property
    def left(self) -> int | None:
        """How many free seats it showed that the fan may have; null where it did not say."""
        return self.free if self.theirs is None else self.theirs


class CountValue(Value, frozen=True, gc=False):
    """How many free seats of each section were shown. `counts`: names them; null where they were not noted.

    `free`: section → seats, at the first look of each worker that saw it. `stale`: it says that it is old.
    """

    counts: str | None = None
    free: dict[str, int] | None = None
    stale: bool = False


class PayValue(Value, frozen=True, gc=False):
    """What was paid for and what the platform answered. `bought`: of `quantity` tickets; null: it was not said.

    `card`: the name of the card that the fan paid with; null where each has not one of their own.
    """

    hold_id: str = ""
    seats: tuple[str, ...] = ()
    pool: str = ""
    quantity: int = 0
    bought: int | None = None
    order_id: str = ""
    amount_cents: int | None = None
    state: str = ""
    declined_on_purpose: bool = False
    shown_cents: int | None = None
    card: str | None = None

    @property
    def words(self) -> str:
        """What was paid for, in words."""
        return goods(self.seats, {self.pool: self.quantity} if self.pool else {})


class OrderValue(Value, frozen=True, gc=False):
    """What a look-up showed."""

    state: str = ""
    seats: tuple[str, ...] = ()
    pool: str = ""
    quantity: int = 0
    amount_cents: int | None = None
    stale: bool = False


class ReuseValue(Value, frozen=True, gc=False):
    """A used key with another purchase: the first order, the seats that were asked for, and what was answered.

    `read`: the state in which somebody else than its fan was shown the first order, "" where nobody was.
    """

    order_id: str = ""
    seats: tuple[str, ...] = ()
    answered_id: str = ""
    answered_seats: tuple[str, ...] = ()
    read: str = ""


class DrawValue(Value, frozen=True, gc=False):
    """What was published of a draw of lots. `seed` null: still secret; `entries`: hashes of fans' names."""

    commitment: str = ""
    opens_at: float = 0.0
    seed: str | None = None
    entries: tuple[str, ...] = ()


def clamped(number: int) -> int:
    """The number, or the nearest one that an array can hold: a platform may say anything."""
    return max(-_NUMBER_MAX, min(number, _NUMBER_MAX))


def goods(seats: Collection[str], pools: Mapping[str, int]) -> str:
    """Seats, and tickets of pools, in words."""
    parts = []
    if seats:
        parts.append(f"{'seat' if len(seats) == 1 else 'seats'} {', '.join(seats)}")
    parts += [f"{quantity} of {pool}" for pool, quantity in pools.items()]
    return " and ".join(parts) or "no tickets"


V = TypeVar("V", bound=Value)
V_co = TypeVar("V_co", bound=Value, covariant=True)


class Operation(msgspec.Struct, Generic[V_co], frozen=True, gc=False):
    """One operation of one actor, as an interval. A null `t_complete_s` never completed."""

    actor: str
    identity: str
    key: str
    value: V_co
    t_invoke_s: float
    t_complete_s: float | None
    outcome: Outcome
    error: str

    @property
    def ok(self) -> bool:
        """The platform said yes."""
        return self.outcome is Outcome.OK

    @property
    def unknown(self) -> bool:
        """It may have happened."""
        return self.outcome is Outcome.UNKNOWN

    @property
    def t_end_s(self) -> float:
        """When it completed, or when it was invoked if it never did."""
        return self.t_invoke_s if self.t_complete_s is None else self.t_complete_s


@dataclass(frozen=True)
class Operations(Generic[V_co]):
    """Those of one function, by the time of invocation. `rows`: `COLUMNS`, some of them dictionary-encoded.

    `whole`: those that these are a part of, and `at` the number of each of them there; null: these are all.
    """

    rows: pa.Table
    function: Function
    kind: type[V_co]
    whole: Operations[V_co] | None = None
    at: Ints | None = None

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def __iter__(self) -> Iterator[Operation[V_co]]:
        decode = msgspec.json.Decoder(self.kind).decode
        for batch in self.rows.to_batches(max_chunksize=_BATCH_ROWS):
            yield from _parse(batch, self.function, decode)

    def __getitem__(self, at: int) -> Operation[V_co]:
        return next(iter(Operations(self.rows.slice(at, 1), self.function, self.kind)))

    def column(self, field: str) -> pa.Array:
        """That field of the value of each of them. All values are parsed once, however many columns are asked for."""
        if self.whole is not None:
            return self.whole.column(field).take(pa.array(self.at))
        return self._columns[field]

    def names_in(self, field: str) -> pa.Array:
        """Every different name in that field, which has a list of names."""
        return pc.unique(pc.list_flatten(self.column(field)))

    @cached_property
    def _columns(self) -> dict[str, pa.Array]:
        types = {field.name: _type_of(field.type) for field in msgspec.structs.fields(self.kind)}
        parts: dict[str, list[pa.Array]] = {name: [] for name, kind in types.items() if kind is not None}
        for batch in self.rows.to_batches(max_chunksize=_BATCH_ROWS):
            values = [one.value for one in _parse(batch, self.function, msgspec.json.Decoder(self.kind).decode)]
            for name, of_field in parts.items():
                of_field.append(_column(list(map(attrgetter(name), values)), types[name]))
        return {name: pa.chunked_array(of_field, types[name]).combine_chunks() for name, of_field in parts.items()}

    def outcomes(self, outcome: Outcome) -> Bools:
        """Whether each of them ended so."""
        ended: Bools = pc.equal(_plain(self.rows["outcome"]), outcome.value).to_numpy()
        return ended

    @property
    def ok(self) -> Operations[V_co]:
        """Those that the platform said yes to."""
        return self.where(self.outcomes(Outcome.OK))

    @cached_property
    def unknowns(self) -> int:
        """How many may have happened."""
        return int(np.count_nonzero(self.outcomes(Outcome.UNKNOWN)))

    def failed_with(self, error: str) -> Operations[V_co]:
        """Those that ended with that error."""
        return self.where(self.ended_with(error))

    def ended_with(self, error: str) -> Bools:
        """Whether each of them ended with that error."""
        ended: Bools = pc.equal(_plain(self.rows["error"]), error).to_numpy()
        return ended

    def naming(self, field: str) -> Operations[V_co]:
        """Those whose value may have that field: a few to be looked at closer."""
        return self.where(pc.match_substring(self.rows["value"], f'"{field}"'))

    @property
    def doubtful(self) -> Operations[V_co]:
        """Those that may have happened."""
        return self.where(self.outcomes(Outcome.UNKNOWN))

    @property
    def failed(self) -> Operations[V_co]:
        """Those that definitely did not happen."""
        return self.where(self.outcomes(Outcome.FAIL))

    def lacking(self, text: str) -> Operations[V_co]:
        """Those whose value, as JSON, does not have that text."""
        return self.where(pc.invert(pc.match_substring(self.rows["value"], text)))

    def of_keys(self, keys: Collection[str]) -> Operations[V_co]:
        """Those with one of these keys."""
        return self.where(pc.is_in(self.rows["key"], value_set=pa.array(keys, type=pa.string())))

    def of_identities(self, identities: Collection[str]) -> Operations[V_co]:
        """Those with one of these identities."""
        return self.where(pc.is_in(_plain(self.rows["identity"]), value_set=pa.array(identities, type=pa.string())))

    def since(self, t_s: float) -> Operations[V_co]:
        """Those that were invoked then or later."""
        return self.where(pc.greater_equal(self.rows["t_invoke_s"], t_s))

    @property
    def keys(self) -> pa.Array:
        """The key of each of them."""
        return self.rows["key"].combine_chunks()

    @property
    def repeated_keys(self) -> list[str]:
        """The keys that more than one of them has."""
        return _more_than_once(self.keys)

    @property
    def repeated_identities(self) -> list[str]:
        """The identities that did more than one of them."""
        return _more_than_once(self.identities)

    @property
    def actors(self) -> pa.Array:
        """Who did each of them, as strings."""
        return _plain(self.rows["actor"]).combine_chunks()

    @property
    def identities(self) -> pa.Array:
        """Who each of them counts for, as strings."""
        return _plain(self.rows["identity"]).combine_chunks()

    @property
    def t_invoke_s(self) -> npt.NDArray[np.float64]:
        """When each of them was invoked."""
        invoked: npt.NDArray[np.float64] = self.rows["t_invoke_s"].to_numpy()
        return invoked

    @property
    def t_end_s(self) -> npt.NDArray[np.float64]:
        """When each of them ended, see `Operation.t_end_s`."""
        ended: npt.NDArray[np.float64] = pc.coalesce(self.rows["t_complete_s"], self.rows["t_invoke_s"]).to_numpy()
        return ended

    @property
    def first_invoked(self) -> pa.Table:
        """Columns actor and t_invoke_s: when each actor first asked."""
        return _first(self.rows["actor"], "t_invoke_s", self.t_invoke_s)

    @property
    def first_invoked_s(self) -> dict[str, float]:
        """Actor → when they first asked, in the order in which they did."""
        return dict(zip(*(column.to_pylist() for column in self.first_invoked), strict=True))

    @property
    def first_ended_s(self) -> dict[str, float]:
        """Actor → when the first of theirs ended."""
        return dict(
            zip(*(column.to_pylist() for column in _first(self.rows["actor"], "t_s", self.t_end_s)), strict=True)
        )

    @property
    def aliases(self) -> dict[str, str]:
        """Actor → identity, of those who are not their own identity."""
        actors, identities = _plain(self.rows["actor"]), _plain(self.rows["identity"])
        other = pc.not_equal(actors, identities)
        return dict(zip(actors.filter(other).to_pylist(), identities.filter(other).to_pylist(), strict=True))

    def without(self, names: Collection[str]) -> Operations[V_co]:
        """Those of actors whose names begin with none of these."""
        kept = self
        for name in names:
            kept = kept.where(pc.invert(_of_actors(kept.rows["actor"], name)))
        return kept

    def where(self, wanted: pa.ChunkedArray | Bools) -> Operations[V_co]:
        """Those for which it is true."""
        chosen = np.asarray(wanted, dtype=np.bool_)
        if chosen.all():
            return self
        at = np.flatnonzero(chosen)
        of_whole = at if self.at is None else self.at[at]
        return Operations(self.rows.take(pa.array(at)), self.function, self.kind, self.whole or self, of_whole)


class History:
    """The table of operations by function. It is read once, batch by batch; nothing of it is kept twice.

    A function's rows are put in order when they are first asked for, and stay as long as the history does.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._parts: dict[str, list[pa.RecordBatch]] = {}
        self._ordered: dict[Function, pa.Table] = {}
        self._operations: dict[tuple[Function, type[Value]], Operations[Value]] = {}
        for batch in batches:
            _expect(batch, "function", Function)
            _expect(batch, "outcome", Outcome)
            _expect_instants(batch)
            for function in pc.unique(batch["function"]).to_pylist():
                rows = batch.filter(pc.equal(batch["function"], function)).select(COLUMNS)
                self._parts.setdefault(function, []).append(_coded(rows))

    def of(self, function: Function, kind: type[V]) -> Operations[V]:
        """The operations of one function, by the time of invocation."""
        if function not in self._ordered:
            self._ordered[function] = _in_order(self._parts.pop(function, []))
            pa.default_memory_pool().release_unused()
        known = self._operations.setdefault((function, kind), Operations(self._ordered[function], function, kind))
        return cast("Operations[V]", known)


def _in_order(parts: list[pa.RecordBatch]) -> pa.Table:
    rows = pa.Table.from_batches(parts, schema=_SCHEMA).unify_dictionaries()
    order = np.argsort(rows["t_invoke_s"].to_numpy(), kind="stable")
    return rows.take(order).combine_chunks()


_SCHEMA: Final = pa.schema(
    [
        pa.field(name, pa.dictionary(pa.int32(), pa.string()) if name in _CODED else kind)
        for name, kind in zip(
            COLUMNS, (*[pa.string()] * 4, pa.float64(), pa.float64(), pa.string(), pa.string()), strict=True
        )
    ]
)


def _coded(rows: pa.RecordBatch) -> pa.RecordBatch:
    columns = [rows[name].dictionary_encode() if name in _CODED else rows[name] for name in COLUMNS]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind == pa.int64():
        values = [None if value is None else clamped(value) for value in values]
    return pa.array(values, kind)


def _type_of(annotation: object) -> pa.DataType | None:
    """Null: no column can hold it."""
    kinds = [one for one in get_args(annotation) if one is not NoneType] if isinstance(annotation, UnionType) else []
    return _TYPES.get(cast("type", kinds[0] if kinds else annotation))


def _first(actors: pa.ChunkedArray, name: str, t_s: npt.NDArray[np.float64]) -> pa.Table:
    """Columns actor and `name`: the earliest instant of each actor, in the order in which these are there first."""
    rows = pa.table({"actor": actors, "t_s": t_s})
    first = rows.group_by("actor", use_threads=False).aggregate([("t_s", "min")])
    return pa.table({"actor": _plain(first["actor"]), name: first["t_s_min"]})


def _more_than_once(names: pa.Array) -> list[str]:
    counts = pc.value_counts(names)
    repeated: list[str] = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    return repeated


def _of_actors(actors: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Whether each of these names, dictionary-encoded, begins so."""
    chunks = (pc.starts_with(chunk.dictionary, name).take(chunk.indices) for chunk in actors.chunks)
    return pa.chunked_array(chunks, pa.bool_())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def _expect(rows: pa.RecordBatch, column: str, allowed: type[Function | Outcome]) -> None:
    foreign = sorted(set(pc.unique(rows[column]).to_pylist()) - {one.value for one in allowed})
    if foreign:
        names = ", ".join(one.value for one in allowed)
        raise InputError(f"{foreign[0]!r} is none of {names}", file="operations", key=column)


def _expect_instants(rows: pa.RecordBatch) -> None:
    """With NaN or infinity in it a comparison says anything."""
    for column in ("t_invoke_s", "t_complete_s"):
        if not pc.all(pc.is_finite(rows[column].drop_null())).as_py() and rows.num_rows > rows[column].null_count:
            raise InputError("expected an instant in s, got one that is not finite", file="operations", key=column)


def _parse(rows: pa.RecordBatch, function: Function, decode: Callable[[str], V]) -> Iterator[Operation[V]]:
    """The operations of a batch; the loop over them is not Python's, because there are millions."""
    actors, identities, keys, texts, invokes, completes, outcomes, errors = (
        _cells(rows.column(name)) for name in COLUMNS
    )
    values: list[V] = []
    try:
        values.extend(map(decode, texts))
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        message = f"the value of a {function} of {actors[len(values)]} cannot be read: {problem}"
        raise InputError(message, file="operations", key="value") from problem
    ended = map(_OUTCOMES.__getitem__, outcomes)
    return map(Operation, actors, identities, keys, values, invokes, completes, ended, errors)


def _cells(column: pa.Array) -> list:  # type: ignore[type-arg] # of the column's own type
    """The column's values; where there are few different ones, each is one object, however often it is there."""
    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    if len(column.dictionary) > _FEW:
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    names = column.dictionary.to_pylist()
    return [names[code] for code in column.indices.to_numpy().tolist()]

"""The record as evidence: the business history with its values parsed once, and the state at rest.

Nothing here judges. A value that the schema does not know raises `InputError`, so that no checker passes on nonsense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.record.reader import Record
from harness.record.schema import BOT_ACTOR, FaultRun, Function, Outcome, RunDocument
from harness.scenario import OnSale

ORDER_STATES: Final = ("pending", "confirmed", "declined", "refunded", "expired")
SEAT_STATES: Final = ("free", "held", "sold")
LEDGER_ENTRIES: Final = ("capture", "refund", "decline")
NO_RULES: Final = "the platform's own rules are not known: they are declared for the reference booking system only"
_STACKS_OF_OURS: Final = ("embedded", "compose")


class Value(msgspec.Struct, frozen=True, gc=False):
    """Base of the parsed `value` column, see `Function` for what each field means. Unknown fields are left alone."""


class JoinValue(Value, frozen=True, gc=False):
    """What a join was answered. `ticket`: how it was forged, where one was presented that was not the bearer's."""

    position: int | None = None
    epoch: str = ""
    parked: bool = False
    ticket: str = ""


class EnterValue(Value, frozen=True, gc=False):
    """`admission_no` is null unless the exchange succeeded."""

    admission_no: int | None = None


class SeatsValue(Value, frozen=True, gc=False):
    """Of hold, release and sweep: the seats that were meant, and for a hold its time to live."""

    seats: tuple[str, ...] = ()
    ttl_s: float | None = None


class PayValue(Value, frozen=True, gc=False):
    """What was paid for and what the platform answered."""

    hold_id: str = ""
    seats: tuple[str, ...] = ()
    order_id: str = ""
    amount_cents: int | None = None
    state: str = ""
    declined_on_purpose: bool = False


class OrderValue(Value, frozen=True, gc=False):
    """What a look-up showed."""

    state: str = ""
    seats: tuple[str, ...] = ()
    amount_cents: int | None = None


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


class Order(msgspec.Struct, frozen=True, gc=False):
    """One order of the export: its rows together. `state` is "mixed" when its seats disagree."""

    order_id: str
    fan: str
    seats: tuple[str, ...]
    state: str
    amount_cents: int
    idempotency_key: str


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One row of the provider's ledger."""

    charge_id: str
    idempotency_key: str
    order_id: str
    entry: str
    amount_cents: int


_VALUE_OF: Final[dict[Function, type[Value]]] = {
    Function.JOIN: JoinValue,
    Function.ENTER: EnterValue,
    Function.HOLD: SeatsValue,
    Function.RELEASE: SeatsValue,
    Function.PAY: PayValue,
    Function.ORDER: OrderValue,
    Function.SWEEP: SeatsValue,
    Function.PROBE: SeatsValue,
}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_ORDER_COLUMNS: Final = ("order_id", "fan", "seat", "state", "amount_cents", "idempotency_key")
_BATCH_ROWS: Final = 16_384
_COLUMNS: Final = ("actor", "identity", "key", "value", "t_invoke_s", "t_complete_s", "outcome", "error")


@dataclass(frozen=True)
class Evidence:
    """Everything that the checkers may look at. Each view is made when first asked for.

    `fans_only`: the operations without those of bots. Checkers look at all: what holds for fans must hold for bots.
    """

    record: Record
    fans_only: bool = False

    @property
    def run(self) -> RunDocument:
        """run.json."""
        return self.record.run

    @cached_property
    def joins(self) -> tuple[Operation[JoinValue], ...]:
        """Every join, by time of invocation; so are the other operations."""
        return self._operations(Function.JOIN, JoinValue)

    @cached_property
    def enters(self) -> tuple[Operation[EnterValue], ...]:
        """Every exchange of a ticket for a pass."""
        return self._operations(Function.ENTER, EnterValue)

    @cached_property
    def holds(self) -> tuple[Operation[SeatsValue], ...]:
        """Every hold."""
        return self._operations(Function.HOLD, SeatsValue)

    @cached_property
    def releases(self) -> tuple[Operation[SeatsValue], ...]:
        """Every release; `key` is the hold id."""
        return self._operations(Function.RELEASE, SeatsValue)

    @cached_property
    def pays(self) -> tuple[Operation[PayValue], ...]:
        """Every payment."""
        return self._operations(Function.PAY, PayValue)

    @cached_property
    def lookups(self) -> tuple[Operation[OrderValue], ...]:
        """Every look-up of an order; `key` is the order id."""
        return self._operations(Function.ORDER, OrderValue)

    @cached_property
    def sweeps(self) -> tuple[Operation[SeatsValue], ...]:
        """Every try to hold an unsold seat at rest; `key` is the seat."""
        return self._operations(Function.SWEEP, SeatsValue)

    @cached_property
    def probes(self) -> tuple[Operation[SeatsValue], ...]:
        """Every try to get seats past the queue; `key` says how."""
        return self._operations(Function.PROBE, SeatsValue)

    @cached_property
    def on_sale(self) -> OnSale | None:
        """The rules of the on-sale, as the stack was set up by them. Null: a platform whose rules nobody declared."""
        if self.run.stack not in _STACKS_OF_OURS:
            return None
        try:
            return msgspec.convert(self.run.scenario.get("on_sale", {}), OnSale, strict=False)
        except msgspec.ValidationError as problem:
            raise InputError(f"are no rules of an on-sale: {problem}", file="run.json", key="on_sale") from problem

    @cached_property
    def missing_operations(self) -> int:
        """How many are not in the record of those that the workers numbered 0, 1, 2 …, up to the last of each.

        Raises InputError when a number is there twice: then it is not the record of one run.
        """
        counts = self.record.table("operations").select(["worker", "op"]).group_by("worker")
        missing = 0
        for row in counts.aggregate([("op", "max"), ("op", "count"), ("op", "count_distinct")]).to_pylist():
            if row["op_count"] != row["op_count_distinct"]:
                message = f"worker {row['worker']} has an operation twice: the rows of several runs are mixed"
                raise InputError(message, file="operations", key="op", hint="restore the file, or rehearse again")
            missing += row["op_max"] + 1 - row["op_count"]
        return missing

    @cached_property
    def clock_margin_s(self) -> float:
        """How far instants of two workers may be apart: two clocks, each off by at most its uncertainty."""
        workers = self.run.load.workers if self.run.load else ()
        uncertainties = sorted((worker.clock_uncertainty_ms for worker in workers), reverse=True)
        return sum(uncertainties[:2]) / 1000 if len(workers) > 1 else 0.0

    @cached_property
    def called_in_s(self) -> dict[str, float]:
        """Actor → when their positions stream first said that they are admitted."""
        events = self.record.table("events")
        admitted = events.filter(pc.equal(events["event"], "admitted")).group_by("actor").aggregate([("t_s", "min")])
        return dict(zip(admitted["actor"].to_pylist(), admitted["t_s_min"].to_pylist(), strict=True))

    @cached_property
    def seats(self) -> tuple[tuple[str, str], ...]:
        """(seat, state) of every row of the final seat map, in its order."""
        table = self.record.table("final_seats")
        _expect("final_seats", table, "state", SEAT_STATES)
        states = {state: state for state in SEAT_STATES}
        return tuple((row[0], states[row[1]]) for row in _rows(table, ("seat", "state")))

    @cached_property
    def seat_states(self) -> dict[str, str]:
        """Seat → state of the final seat map."""
        return dict(self.seats)

    @cached_property
    def orders(self) -> dict[str, Order]:
        """Order id → order of the final export."""
        table = self.record.table("final_orders")
        _expect("final_orders", table, "state", ORDER_STATES)
        orders: dict[str, Order] = {}
        names, states = self._names, {state: state for state in ORDER_STATES}
        for row in _rows(table, _ORDER_COLUMNS):
            order = Order(row[0], names.setdefault(row[1], row[1]), (row[2],), states[row[3]], *row[4:])
            known = orders.get(order.order_id)
            orders[order.order_id] = _joined(known, order) if known else order
        return orders

    @cached_property
    def _orders_by_key(self) -> dict[str, Order]:
        return {order.idempotency_key: order for order in self.orders.values()}

    @cached_property
    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Every entry of the provider's ledger."""
        table = self.record.table("final_ledger")
        _expect("final_ledger", table, "entry", LEDGER_ENTRIES)
        return tuple(LedgerEntry(*row) for row in _rows(table, LedgerEntry.__struct_fields__))

    def order_of(self, order_id: str, key: str) -> Order | None:
        """The exported order of that id, or of that idempotency key where the platform gave the fan no id."""
        return self.orders.get(order_id) if order_id else self._orders_by_key.get(key)

    def faults_between(self, t_from_s: float, t_to_s: float) -> list[str]:
        """Experiments in force at some time in the interval, by the canary where it saw them, else as requested."""
        return [fault.experiment for fault in self.record.faults.faults if _in_force(fault, t_from_s, t_to_s)]

    def _operations(self, function: Function, kind: type[V]) -> tuple[Operation[V], ...]:
        """Those of one function by the time of invocation, parsed batch by batch: no second copy of the table."""
        table = self._known_operations
        wanted = pc.equal(table["function"], function.value)
        rows = table.select(_COLUMNS).filter(wanted).sort_by("t_invoke_s")
        decode = msgspec.json.Decoder(kind).decode
        batches = rows.to_batches(max_chunksize=_BATCH_ROWS)
        parsed = tuple(op for batch in batches for op in _parse(batch, function, decode, self._names))
        del rows, batches
        pa.default_memory_pool().release_unused()
        return parsed

    @cached_property
    def _names(self) -> dict[str, str]:
        """One object for each name: a fan's is in every one of their operations."""
        return {}

    @cached_property
    def _known_operations(self) -> pa.Table:
        table = self.record.table("operations")
        _expect("operations", table, "function", tuple(function.value for function in Function))
        _expect("operations", table, "outcome", tuple(outcome.value for outcome in Outcome))
        if self.fans_only:
            table = table.filter(pc.invert(pc.starts_with(table["actor"], BOT_ACTOR)))
        return table


def _parse(
    rows: pa.RecordBatch, function: Function, decode: Callable[[str], V], names: dict[str, str]
) -> Iterator[Operation[V]]:
    columns = (rows.column(name).to_pylist() for name in _COLUMNS)
    known = names.setdefault
    for actor, identity, key, text, invoke, complete, outcome, error in zip(*columns, strict=True):
        try:
            value = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            message = f"the value of a {function} of {actor} cannot be read: {problem}"
            raise InputError(message, file="operations", key="value") from problem
        who, known_as, why = known(actor, actor), known(identity, identity), known(error, error)
        yield Operation(who, known_as, key, value, invoke, complete, _OUTCOMES[outcome], why)


def _rows(table: pa.Table, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Row by row, of types that the table's schema has fixed; never more than a batch of them at a time."""
    for batch in table.select(columns).to_batches(max_chunksize=_BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _joined(order: Order, seat: Order) -> Order:
    """The order with one more of its seats."""
    return msgspec.structs.replace(
        order,
        seats=order.seats + seat.seats,
        state=order.state if order.state == seat.state else "mixed",
        amount_cents=order.amount_cents + seat.amount_cents,
    )


def _expect(name: str, table: pa.Table, column: str, allowed: tuple[str, ...]) -> None:
    foreign = sorted(set(pc.unique(table.column(column)).to_pylist()) - set(allowed))
    if foreign:
        raise InputError(f"{foreign[0]!r} is none of {', '.join(allowed)}", file=name, key=column)


def _in_force(fault: FaultRun, t_from_s: float, t_to_s: float) -> bool:
    start = fault.t_requested_s if fault.t_effective_s is None else fault.t_effective_s
    end = fault.t_heal_requested_s if fault.t_healed_s is None else fault.t_healed_s
    return start is not None and start <= t_to_s and (end is None or end >= t_from_s)

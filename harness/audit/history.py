"""The record as evidence: the business history, and the state at rest.

Nothing here judges. A value that the schema does not know raises `InputError`, so that no checker passes on nonsense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.operations import (
    COLUMNS,
    CountValue,
    DrawValue,
    EnterValue,
    History,
    JoinValue,
    LookValue,
    Operation,
    Operations,
    OrderValue,
    PayValue,
    ProbeValue,
    ReuseValue,
    SeatsValue,
    StockValue,
    V,
    goods,
)
from harness.audit.repeats import Repeats
from harness.audit.rules import SaleRules, own_rules, reference_rules
from harness.errors import InputError
from harness.record import feed_walk
from harness.record.reader import Record
from harness.record.schema import EVENTS, NOT_DRAWN, OTHERS_HOLD, TURNED_AWAY, FaultRun, Function, RunDocument
from harness.scenario import OnSale, OwnPlatform

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ORDER_STATES: Final = ("pending", "confirmed", "declined", "refunded", "expired")
SEAT_STATES: Final = ("free", "held", "sold")
LEDGER_ENTRIES: Final = ("capture", "refund", "decline")
NO_RULES: Final = "the platform's own rules are not known: declare them in platform.rules"
_NO_HOLD: Final = "no_hold"
_STACKS_OF_OURS: Final = ("embedded", "compose")


class Order(msgspec.Struct, frozen=True, gc=False):
    """One order of the export: its rows together. `state` is "mixed" when its seats disagree.

    `pools`: tickets without a seat, by pool. `repeated`: its seats that are exported more than once; the first of their
    rows counts.
    """

    order_id: str
    fan: str
    seats: tuple[str, ...]
    state: str
    amount_cents: int
    idempotency_key: str
    pools: tuple[tuple[str, int], ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def tickets(self) -> int:
        """How many it has."""
        return len(self.seats) + sum(quantity for _, quantity in self.pools)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each of its tickets that no other order's ticket has: of one without a seat, its number."""
        return (*self.seats, *numbered(self.order_id, dict(self.pools)))

    @property
    def words(self) -> str:
        """Its seats and tickets in words."""
        return goods(self.seats, dict(self.pools))


class PoolAtRest(msgspec.Struct, frozen=True, gc=False):
    """One pool as the operator sees it. Null: the platform does not show it."""

    pool: str
    free: int | None
    held: int | None
    sold: int | None


def numbered(owner: str, pools: Mapping[str, int]) -> Iterator[str]:
    """A name for each ticket without a seat that one order, or one hold, has."""
    return (f"{owner}:{pool}#{number + 1}" for pool, quantity in pools.items() for number in range(quantity))


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One row of the provider's ledger. `card`: whose money it was; null where the ledger does not say."""

    charge_id: str
    idempotency_key: str
    order_id: str
    entry: str
    amount_cents: int
    card: str | None = None


_ORDER_COLUMNS: Final = ("order_id", "fan", "seat", "state", "amount_cents", "idempotency_key", "pool", "quantity")
_STOCK_COLUMNS: Final = ("pool", "free", "held", "sold")
T = TypeVar("T")


class _Shared(Generic[T]):
    """A view that is the same whoever is left out: it is made once, for the whole and all its parts."""

    def __init__(self, make: Callable[[Evidence], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, part: Evidence, owner: type | None = None) -> T:
        whole = part.whole or part
        return whole.once(self._name, lambda: self._make(whole))


@dataclass(frozen=True)
class Evidence:
    """Everything that the checkers may look at. Each view is made when first asked for.

    `leaves_out`: how the names of actors begin whose operations are left out. Checkers look at all: what holds for fans
    must hold for bots. `whole`: the evidence that this is a part of; null when nobody is left out.
    """

    record: Record
    leaves_out: tuple[str, ...] = ()
    whole: Evidence | None = None
    _made: dict[str, object] = field(default_factory=dict, repr=False, compare=False)

    def without(self, *names: str) -> Evidence:
        """The same without the operations of actors whose names begin so. What is read once serves both."""
        return Evidence(self.record, (*self.leaves_out, *names), self.whole or self)

    @property
    def run(self) -> RunDocument:
        """run.json."""
        return self.record.run

    @cached_property
    def joins(self) -> Operations[JoinValue]:
        """Every join."""
        return self._of(Function.JOIN, JoinValue)

    @cached_property
    def enters(self) -> Operations[EnterValue]:
        """Every exchange of a ticket for a pass."""
        return self._of(Function.ENTER, EnterValue)

    @cached_property
    def looks(self) -> Operations[LookValue]:
        """Every look at the seat map."""
        return self._of(Function.LOOK, LookValue)

    @cached_property
    def counts(self) -> Operations[CountValue]:
        """Every look at the free seats of each section."""
        return self._of(Function.COUNT, CountValue)

    @cached_property
    def holds(self) -> Operations[SeatsValue]:
        """Every hold."""
        return self._of(Function.HOLD, SeatsValue)

    @cached_property
    def keeps_nothing(self) -> bool:
        """Whether choosing keeps nothing on this platform: who gets tickets shows when they are bought."""
        return _NO_HOLD in self.run.capabilities

    @cached_property
    def choices(self) -> Operations[SeatsValue]:
        """Every choice of seats or tickets that kept nothing."""
        return self._of(Function.CHOOSE, SeatsValue)

    @property
    def askings(self) -> Operations[SeatsValue]:
        """What fans asked for before they paid: holds, or choices where choosing keeps nothing."""
        return self.choices if self.keeps_nothing else self.holds

    @property
    def takings(self) -> Operations[SeatsValue]:
        """What takes seats or tickets from others: holds, or purchases where choosing keeps nothing."""
        return self._of(Function.PAY, SeatsValue) if self.keeps_nothing else self.holds

    @cached_property
    def stocks(self) -> Operations[StockValue]:
        """Every look at what is left of the pools."""
        return self._of(Function.STOCK, StockValue)

    @cached_property
    def releases(self) -> Operations[SeatsValue]:
        """Every release; `key` is the hold id."""
        return self._of(Function.RELEASE, SeatsValue)

    @cached_property
    def pays(self) -> Operations[PayValue]:
        """Every payment."""
        return self._of(Function.PAY, PayValue)

    @cached_property
    def lookups(self) -> Operations[OrderValue]:
        """Every look-up of an order; `key` is the order id."""
        return self._of(Function.ORDER, OrderValue)

    @cached_property
    def sweeps(self) -> Operations[SeatsValue]:
        """Every try to hold a seat at rest; `key` is the seat."""
        return self._of(Function.SWEEP, SeatsValue)

    @cached_property
    def probes(self) -> Operations[ProbeValue]:
        """Every try to get past the queue; `key` says how."""
        tries = self._of(Function.PROBE, ProbeValue)
        return tries.where(pc.invert(pc.is_in(tries.keys, value_set=pa.array(OTHERS_HOLD))))

    @cached_property
    def tries_of_others_holds(self) -> Operations[ProbeValue]:
        """Every try to release or to buy what another fan holds; `key` says which."""
        return self._of(Function.PROBE, ProbeValue).of_keys(OTHERS_HOLD)

    @cached_property
    def reuses(self) -> Operations[ReuseValue]:
        """Every used idempotency key that was tried for another purchase; `key` is that key."""
        return self._of(Function.REUSE, ReuseValue)

    @cached_property
    def draws(self) -> Operations[DrawValue]:
        """Every look at the published draw of lots."""
        return self._of(Function.DRAW, DrawValue)

    @cached_property
    def duration_s(self) -> float:
        """When the run ended on the release clock: what comes later is settling, the operator's work."""
        planned = self.run.scenario.get("duration_s")
        return float(planned) if isinstance(planned, int | float) else float("inf")

    @cached_property
    def on_sale(self) -> OnSale | None:
        """How the reference system was set up for the on-sale. Null: another platform."""
        if self.run.stack not in _STACKS_OF_OURS:
            return None
        try:
            return msgspec.convert(self.run.scenario.get("on_sale", {}), OnSale, strict=False)
        except msgspec.ValidationError as problem:
            raise InputError(f"are no rules of an on-sale: {problem}", file="run.json", key="on_sale") from problem

    @cached_property
    def own_platform(self) -> OwnPlatform | None:
        """The platform section of the scenario; null where the reference system was rehearsed."""
        section = self.run.scenario.get("platform")
        if section is None:
            return None
        try:
            return msgspec.convert(section, OwnPlatform, strict=False)
        except msgspec.ValidationError as problem:
            raise InputError(f"is no platform section: {problem}", file="run.json", key="platform") from problem

    @cached_property
    def rules(self) -> SaleRules | None:
        """What the platform promises, whichever it is. Null: a platform of which nobody declared any rule."""
        if self.on_sale is not None:
            return reference_rules(self.on_sale)
        return own_rules(self.own_platform.rules) if self.own_platform is not None else None

    @cached_property
    def held_before_until_s(self) -> float:
        """Until when seats may be held by somebody who asked before the release; −∞ for a platform that was made fresh.

        Where nobody says how long a hold lasts, there is no such instant: +∞.
        """
        own = self.own_platform
        if own is None or own.baseline == "none":
            return float("-inf")
        return float("inf") if own.rules.hold_ttl_s is None else own.rules.hold_ttl_s + own.rules.hold_late_max_s

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives; it is called only the first time that something of this name is asked for."""
        if name not in self._made:
            self._made[name] = make()
        return cast("T", self._made[name])

    def ttl_s(self, holds: Operations[SeatsValue]) -> Floats:
        """The time to live of each hold, as of `timed`; NaN where nobody says it."""
        declared_s = self.rules.hold_ttl_s if self.rules else None
        told_s = pc.fill_null(holds.column("ttl_s"), float("nan") if declared_s is None else declared_s)
        ttl_s: Floats = told_s.to_numpy()
        return ttl_s

    def timed(self, hold: Operation[SeatsValue]) -> Operation[SeatsValue]:
        """A hold with its time to live: by the rules, where the platform did not tell the fan."""
        ttl_s = self.rules.hold_ttl_s if self.rules and hold.ok and hold.value.ttl_s is None else None
        if ttl_s is None:
            return hold
        return msgspec.structs.replace(hold, value=msgspec.structs.replace(hold.value, ttl_s=ttl_s))

    @cached_property
    def has_no_adapter(self) -> bool:
        """Whether the users of a locustfile came: then nothing can be audited."""
        journeys = self.run.scenario.get("journeys")
        return isinstance(journeys, dict) and bool(journeys.get("locustfile"))

    @cached_property
    def unrest(self) -> str:
        """Why the platform was not at rest when it was read for the last time; "" where it was.

        A part that died on its own leaves work undone that nobody will do.
        """
        died = [one.text for one in self.run.anomalies if one.is_death]
        if self.run.at_rest and not died:
            return ""
        reasons = (*died, *self.run.unrest) or ("nobody could tell whether it was at rest",)
        return "; ".join(dict.fromkeys(reasons))

    @_Shared
    def missing_operations(self) -> int:
        """How many are not in the record of those that the workers numbered 0, 1, 2 …, up to the last that it names.

        Requests name the operation that they served. Raises InputError when a number is there twice: then it is not the
        record of one run.
        """
        numbers: dict[int, list[Ints]] = {}
        for worker, ops in self._numbers("operations"):
            numbers.setdefault(worker, []).append(ops)
        last = dict.fromkeys(numbers, -1)
        for worker, ops in self._numbers("requests"):
            last[worker] = max(int(ops.max()), last.get(worker, -1))
        none = [np.zeros(0, dtype=np.int64)]
        return sum(
            _holes(worker, np.sort(np.concatenate(numbers.get(worker, none))), at) for worker, at in last.items()
        )

    def _numbers(self, table: str) -> Iterator[tuple[int, Ints]]:
        """(worker, operations that rows of that worker name), batch by batch."""
        for batch in self.record.batches(table, ("worker", "op")):
            named = batch.filter(pc.is_valid(batch["op"]))
            workers, ops = named["worker"].to_numpy(), named["op"].to_numpy()
            for worker in np.unique(workers).tolist():
                yield worker, ops[workers == worker]

    @cached_property
    def clock_margin_s(self) -> float:
        """How far instants of two workers may be apart: two clocks, each off by at most its uncertainty."""
        workers = self.run.load.workers if self.run.load else ()
        uncertainties = sorted((worker.clock_uncertainty_ms for worker in workers), reverse=True)
        return sum(uncertainties[:2]) / 1000 if len(workers) > 1 else 0.0

    @_Shared
    def called_in_s(self) -> dict[str, float]:
        """Actor → when their positions stream first said that they are admitted."""
        calls = self.events("positions", ("admitted",), ("actor", "t_s"))
        first = calls.group_by("actor").aggregate([("t_s", "min")])
        return dict(zip(first["actor"].to_pylist(), first["t_s_min"].to_pylist(), strict=True))

    @cached_property
    def showed_forged(self) -> frozenset[str]:
        """Fans who showed a ticket that was not theirs, or was rewritten."""
        return frozenset(join.actor for join in self.joins.naming("ticket") if join.value.ticket)

    @cached_property
    def not_drawn(self) -> frozenset[str]:
        """Fans who were told that their lot was not drawn, and were never let in; nobody where no lots are drawn."""
        if self.rules is not None and not self.rules.is_shuffled:
            return frozenset()
        told = self.events("positions", ("refused",), ("actor", "key"))
        names = told.filter(pc.equal(told["key"], NOT_DRAWN))["actor"].to_pylist()
        late = self.joins.failed_with(NOT_DRAWN).actors.to_pylist()
        return (frozenset(names) | frozenset(late)) - frozenset(self.enters.ok.actors.to_pylist())

    @cached_property
    def turned_away(self) -> frozenset[str]:
        """Fans who got no place because their access code or identity has let another fan in, and were never let in."""
        refused = self.joins.failed_with(TURNED_AWAY).actors.to_pylist()
        return frozenset(refused) - frozenset(self.enters.ok.actors.to_pylist())

    def events(self, stream: str, kinds: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """These columns of the events of those kinds on the streams of that name, in the order of the record."""
        rows = self.events_on(stream)
        return rows.select(columns).filter(pc.is_in(rows["event"], value_set=pa.array(kinds)))

    def events_on(self, stream: str) -> pa.Table:
        """Every event on the streams of that name, in the order of the record. They are read once."""
        whole = self.whole or self
        return whole.once(f"events on {stream}", lambda: self.record.stream_rows(stream, EVENTS.names))

    @_Shared
    def feed(self) -> feed_walk.FeedWalk:
        """What followers of the seat feed were told of seats, as each heard it."""
        return feed_walk.walk(self._told_of_seats(), self.stretches)

    def _told_of_seats(self) -> pa.Table:
        rows = self.record.stream_rows("feed", feed_walk.COLUMNS, encoded=True)
        of_seats = pc.not_equal(rows["event"], "score")
        return rows if pc.all(of_seats).as_py() else rows.filter(of_seats)

    @property
    def stretches(self) -> pa.Table:
        """What followers of the feed heard that were summed up: FEED_STRETCHES."""
        return self.record.table("feed_stretches")

    @_Shared
    def seats(self) -> tuple[tuple[str, str], ...]:
        """(seat, state) of every row of the final seat map, in its order."""
        return tuple(self._rows("final_seats", ("seat", "state"), "state", SEAT_STATES))

    @_Shared
    def seat_states(self) -> dict[str, str]:
        """Seat → state of the final seat map."""
        return dict(self.seats)

    @cached_property
    def orders(self) -> dict[str, Order]:
        """Order id → order of the final export. Those that were there before the release are left out.

        Rows that are only listed again count once, see `listed_again`.
        """
        orders, again = self._exported, self._listed_again
        return {order_id: again.get(order_id, order) for order_id, order in orders.items()} if again else orders

    @property
    def listed_again(self) -> tuple[str, ...]:
        """Orders whose rows the export lists several times, where fans were told of as many tickets as once.

        Whether they have more tickets than fans know, or are only listed again, nobody can tell.
        """
        return tuple(self._listed_again)

    @_Shared
    def _exported(self) -> dict[str, Order]:
        before = self.baseline_orders
        found = self._orders("final_orders", self._repeats)
        return {order_id: order for order_id, order in found.items() if order_id not in before}

    @_Shared
    def _repeats(self) -> Repeats:
        return Repeats()

    @cached_property
    def _listed_again(self) -> dict[str, Order]:
        """Order id → the order with each of its rows counted once."""
        orders = self._exported
        if not (listed := self._repeats.orders()):
            return {}
        told, states = self._told_of(orders)
        found = {}
        for name in self._repeats.only_listed_again(
            {one: orders[one].tickets for one in listed if one in orders}, told
        ):
            order, once = orders[name], self._repeats.once(name)
            state = states[name] if states.get(name) in once.states else once.states[-1]
            cents = order.amount_cents - once.cents_again
            found[name] = msgspec.structs.replace(order, pools=once.pools, state=state, amount_cents=cents)
        return found

    def _told_of(self, orders: Mapping[str, Order]) -> tuple[dict[str, int], dict[str, str]]:
        """Order id → how many tickets its fan was told that it has, or asked for; and in which state they know it."""
        by_key = {order.idempotency_key: name for name, order in orders.items() if order.idempotency_key}
        told, states = dict[str, int](), dict[str, str]()
        for pay in self.pays:
            name = pay.value.order_id or by_key.get(pay.key, "")
            told.setdefault(name, pay.value.quantity if pay.value.bought is None else pay.value.bought)
            if pay.ok:
                states[name] = pay.value.state
        for look in self.lookups.ok:
            states[look.key] = look.value.state
            if look.value.quantity:
                told[look.key] = look.value.quantity
        return told, states

    @_Shared
    def baseline_orders(self) -> dict[str, Order]:
        """Order id → order that was there before the release."""
        return self._orders("baseline_orders", Repeats())

    @cached_property
    def stock_at_rest(self) -> dict[str, PoolAtRest]:
        """Pool → what is left of it at rest."""
        return self._stock("final_stock")

    @cached_property
    def baseline_stock(self) -> dict[str, PoolAtRest]:
        """Pool → what there was of it before the release."""
        return self._stock("baseline_stock")

    def _stock(self, name: str) -> dict[str, PoolAtRest]:
        rows = [PoolAtRest(**row) for row in self.record.table(name).select(_STOCK_COLUMNS).to_pylist()]
        return {row.pool: row for row in rows}

    def _orders(self, name: str, repeats: Repeats) -> dict[str, Order]:
        orders: dict[str, Order] = {}
        amounts: dict[int, int] = {}
        for row in self._rows(name, _ORDER_COLUMNS, "state", ORDER_STATES):
            order_id, fan, seat, state, cents, key, pool, quantity = row
            seats, pools = ((seat,), ()) if seat else ((), ((pool, quantity),))
            order = Order(order_id, fan, seats, state, amounts.setdefault(cents, cents), key, pools)
            known = orders.get(order_id)
            orders[order_id] = _joined(known, order) if known else order
            if not seat:
                repeats.add(order_id, state, (fan, cents, key, pool, quantity))
        return orders

    @cached_property
    def orders_by_key(self) -> dict[str, list[Order]]:
        """Idempotency key → the exported orders that have it."""
        found: dict[str, list[Order]] = {}
        for order in self.orders.values():
            found.setdefault(order.idempotency_key, []).append(order)
        return found

    def ledger(self) -> Iterator[LedgerEntry]:
        """Every entry of the provider's ledger, one after another, without what is of before the release.

        That is of orders of then, or was booked then already for orders that the export no longer shows.
        """
        columns = LedgerEntry.__struct_fields__
        entries = (LedgerEntry(*row) for row in self._rows("final_ledger", columns, "entry", LEDGER_ENTRIES))
        before = [LedgerEntry(*row) for row in self._rows("baseline_ledger", columns, "entry", LEDGER_ENTRIES)]
        orders = self.baseline_orders.keys() | {entry.order_id for entry in before if entry.order_id}
        charges = {entry.charge_id for entry in before if entry.charge_id}
        ours = (one for one in entries if one.order_id not in orders and one.charge_id not in charges)
        yield from ours if orders or charges else entries

    def order_of(self, order_id: str, key: str, fan: str = "") -> Order | None:
        """The exported order of that id, or of that idempotency key where the platform gave the fan no id.

        Of several with one key it is the fan's: keys are each fan's own, and others may have used the same one.
        """
        if order_id:
            return self.orders.get(order_id)
        found = self.orders_by_key.get(key, ())
        return next((order for order in found if order.fan == fan), found[0] if found else None)

    def faults_between(self, t_from_s: float, t_to_s: float) -> list[str]:
        """Experiments in force at some time in the interval, by the canary where it saw them, else as requested."""
        return [fault.experiment for fault in self.record.faults.faults if _in_force(fault, t_from_s, t_to_s)]

    @_Shared
    def _history(self) -> History:
        return History(self.record.batches("operations", ("function", *COLUMNS)))

    def _of(self, function: Function, kind: type[V]) -> Operations[V]:
        return self._history.of(function, kind).without(self.leaves_out)

    def _rows(
        self, name: str, columns: tuple[str, ...], column: str, allowed: tuple[str, ...]
    ) -> Iterator[tuple[Any, ...]]:
        """Row by row, of types that the table's schema has fixed. Raises InputError for a value that is not allowed.

        Allowed values are one object each, however often they are there.
        """
        known, at = {value: value for value in allowed}, columns.index(column)
        for batch in self.record.batches(name, columns):
            cells = [batch[one].to_pylist() for one in columns]
            try:
                cells[at] = [known[value] for value in cells[at]]
            except KeyError as problem:
                raise InputError(f"{problem} is none of {', '.join(allowed)}", file=name, key=column) from problem
            yield from zip(*cells, strict=True)


def _holes(worker: int, ops: Ints, last: int) -> int:
    """How many numbers up to the last are not there; `last`: one that there surely was."""
    if np.any(ops[1:] == ops[:-1]):
        message = f"worker {worker} has an operation twice: the rows of several runs are mixed"
        raise InputError(message, file="operations", key="op", hint="restore the file, or rehearse again")
    return max(int(ops[-1]) if len(ops) else -1, last) + 1 - len(ops)


def _joined(order: Order, seat: Order) -> Order:
    """The order with one more of its seats, or with one that it has already."""
    state = order.state if order.state == seat.state else "mixed"
    if seat.seats and seat.seats[0] in order.seats:
        return msgspec.structs.replace(order, state=state, repeated=order.repeated + seat.seats)
    return msgspec.structs.replace(
        order,
        seats=order.seats + seat.seats,
        pools=_added(order.pools, seat.pools),
        state=state,
        amount_cents=order.amount_cents + seat.amount_cents,
    )


def _added(pools: tuple[tuple[str, int], ...], more: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Tickets of the same pool, in several rows of one order, are counted together."""
    if not more:
        return pools
    counted = dict(pools)
    for pool, quantity in more:
        counted[pool] = counted.get(pool, 0) + quantity
    return tuple(counted.items())


def _in_force(fault: FaultRun, t_from_s: float, t_to_s: float) -> bool:
    start = fault.t_requested_s if fault.t_effective_s is None else fault.t_effective_s
    end = fault.t_heal_requested_s if fault.t_healed_s is None else fault.t_healed_s
    return start is not None and start <= t_to_s and (end is None or end >= t_from_s)

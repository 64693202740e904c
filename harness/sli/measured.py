"""Values of indicators, and the tables that they are measured from. A value without samples is null, never zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.record.reader import Record
from harness.record.schema import BOT_ACTOR, LOCUST_KIND, PROBE_ACTOR
from harness.sli.mapped import our_metrics
from harness.sli.seat_changes import Change, changes

BOT: Final = "bot"
NO_CUSTOMERS: Final = pa.array([BOT, "probe"])
"""Kinds of users whose own waits and refusals are nobody's concern."""
Floats = npt.NDArray[np.float64]
T = TypeVar("T")


class Measured(msgspec.Struct, frozen=True):
    """A value and its number of samples. `value` is null when there was nothing to measure. `note`: why, or how it was
    measured.
    """

    value: float | None
    samples: int
    note: str = ""


class IndicatorValue(msgspec.Struct, frozen=True):
    """One indicator of one run."""

    name: str
    value: float | None
    unit: str
    samples: int
    note: str = ""


@dataclass(frozen=True)
class Observations:
    """A record as the indicators read it. Tables that several indicators need are computed once.

    The requests, events and operations of bots are left out, because it is no error that a bot is turned away. What
    bots do to fans shows in the fans' figures and in `everybody`. Those of our own probes are left out too.
    """

    record: Record
    _made: dict[str, object] = field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives; it is called only the first time that something of this name is asked for."""
        if name not in self._made:
            self._made[name] = make()
        return cast("T", self._made[name])

    @cached_property
    def everything(self) -> Evidence:
        """All operations, parsed, those of our own probes included: the audit's input."""
        return Evidence(self.record)

    @cached_property
    def everybody(self) -> Evidence:
        """The operations of fans and bots, parsed."""
        return self.everything.without(PROBE_ACTOR)

    @cached_property
    def history(self) -> Evidence:
        """The fans' operations, parsed."""
        return self.everything.without(BOT_ACTOR, PROBE_ACTOR)

    @cached_property
    def requests(self) -> pa.Table:
        """One row per request."""
        requests = self.record.table("requests")
        return rows_where(requests, pc.invert(pc.is_in(requests["kind"], value_set=NO_CUSTOMERS)))

    @cached_property
    def operations(self) -> pa.Table:
        """One row per operation that a fan began before the end of the run."""
        operations = self.record.table("operations")
        ours = pc.or_(*(pc.starts_with(operations["actor"], name) for name in (BOT_ACTOR, PROBE_ACTOR)))
        before_the_end = pc.less_equal(operations["t_invoke_s"], self.duration_s)
        return rows_where(operations, pc.and_(pc.invert(ours), before_the_end))

    @cached_property
    def positions(self) -> pa.Table:
        """One row per event of the streams of positions."""
        events = self.every_position
        return rows_where(events, pc.invert(pc.is_in(events["kind"], value_set=NO_CUSTOMERS)))

    @cached_property
    def every_position(self) -> pa.Table:
        """The same with those of bots and probes."""
        return self.everything.events_on("positions")

    @cached_property
    def seat_changes(self) -> tuple[Change, ...]:
        """The log of the seat feed during the run: the sweep after settling is no sale."""
        return changes(self.everything.feed, self.duration_s)

    @property
    def capacity(self) -> int | None:
        """How many seats the platform says that there are; null: it does not say."""
        facts = self.record.run.seat_map_at_rest
        return None if facts is None else facts.capacity

    @cached_property
    def seats_on_sale(self) -> int | None:
        """How many of them were not sold before the release; null: the platform does not say."""
        if self.capacity is None:
            return None
        before = self.everybody.baseline_orders.values()
        return self.capacity - sum(len(order.seats) for order in before if order.state == "confirmed")

    @property
    def has_no_adapter(self) -> bool:
        """Whether the users were those of a locustfile, which leave requests and no operations."""
        return self.everybody.has_no_adapter

    @cached_property
    def bots(self) -> int:
        """How many bots sent a request."""
        return self._users(BOT)

    @cached_property
    def fans(self) -> int:
        """How many fans sent a request; of those whose requests are summed up, how many began an operation."""
        return self._users("fan")

    def _users(self, kind: str) -> int:
        requests = self.record.table("requests")
        of_kind = pc.unique(requests.filter(pc.equal(requests["kind"], kind))["actor"])
        if not pc.any(pc.equal(of_kind, "")).as_py():
            return len(of_kind)
        began = pc.unique(self.record.table("operations")["actor"])
        more = began.filter(pc.starts_with(began, f"{kind}-"))
        return len({*of_kind.to_pylist(), *more.to_pylist()} - {""})

    @cached_property
    def metrics(self) -> pa.Table:
        """The platform's own metrics, under our names where the scenario maps them."""
        return our_metrics(self.record)

    def is_unfed(self, indicator: str) -> bool:
        """Whether the indicator lacks a metric: the platform is the user's own and its scenario maps none to it."""
        own = self.everybody.own_platform
        return own is not None and indicator not in own.indicators

    @cached_property
    def duration_s(self) -> float:
        """Length of the run in s after T0: from the scenario, else up to the last operation."""
        planned = self.record.run.scenario.get("duration_s")
        if isinstance(planned, int | float):
            return float(planned)
        starts = self.requests.column("t_start_s").to_numpy()
        return float(starts.max()) if len(starts) else 0.0


def rows_where(table: pa.Table, wanted: pa.ChunkedArray) -> pa.Table:
    """The rows for which it is true: the table itself and no copy where that is all of them."""
    return table if pc.all(wanted, skip_nulls=False).as_py() else table.filter(wanted)


def of_locustfile(requests: pa.Table) -> pa.Table:
    """The requests of the users of a locustfile."""
    return requests.filter(pc.equal(requests["kind"], LOCUST_KIND))


def percentile(values: Floats | Sequence[float], quantile: float) -> float | None:
    """The nearest-rank percentile: the smallest observed value that at least this share of the samples does not exceed.

    Unlike an interpolated percentile it is always an observed value. None without samples.
    """
    if len(values) == 0:
        return None
    return float(np.quantile(np.asarray(values), quantile, method="inverted_cdf"))


def ratio(part: int, whole: int) -> Measured:
    """A share of a whole; null when there is no whole."""
    return Measured(part / whole if whole else None, whole)

"""Values of indicators, and the tables that they are measured from. A value without samples is null, never zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.record.reader import Record
from harness.record.schema import BOT_ACTOR, LOCUST_KIND, PROBE_ACTOR
from harness.sli.mapped import our_metrics

BOT: Final = "bot"
NO_CUSTOMERS: Final = pa.array([BOT, "probe"])
"""Kinds of users whose own waits and refusals are nobody's concern."""
Floats = npt.NDArray[np.float64]


class Measured(msgspec.Struct, frozen=True):
    """A value over so many samples. `value` null: there was nothing to measure. `note`: why, or how."""

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
    """A record as the indicators read it; what several of them need is computed once.

    The bots' own requests, events and operations are left out: that a bot is turned away is no error. What bots do to
    fans shows in the fans' figures, and in `everybody`. The probes' are left out too: they are our own.
    """

    record: Record

    @cached_property
    def everything(self) -> Evidence:
        """The operations of all, our own probes among them, parsed: what the audit looks at."""
        return Evidence(self.record)

    @cached_property
    def everybody(self) -> Evidence:
        """The operations of fans and bots, parsed."""
        return Evidence(self.record, (PROBE_ACTOR,))

    @cached_property
    def history(self) -> Evidence:
        """The fans' operations, parsed."""
        return Evidence(self.record, (BOT_ACTOR, PROBE_ACTOR))

    @cached_property
    def requests(self) -> pa.Table:
        """One row per request."""
        requests = self.record.table("requests")
        return requests.filter(pc.invert(pc.is_in(requests["kind"], value_set=NO_CUSTOMERS)))

    @cached_property
    def operations(self) -> pa.Table:
        """One row per operation that a fan began before the end of the run."""
        operations = self.record.table("operations")
        ours = pc.or_(*(pc.starts_with(operations["actor"], name) for name in (BOT_ACTOR, PROBE_ACTOR)))
        before_the_end = pc.less_equal(operations["t_invoke_s"], self.duration_s)
        return operations.filter(pc.and_(pc.invert(ours), before_the_end))

    @cached_property
    def events(self) -> pa.Table:
        """One row per stream event."""
        events = self.record.table("events")
        return events.filter(pc.invert(pc.is_in(events["kind"], value_set=NO_CUSTOMERS)))

    @property
    def has_no_adapter(self) -> bool:
        """Whether the users of a locustfile came, of whom only requests are known."""
        return self.everybody.has_no_adapter

    @cached_property
    def bots(self) -> int:
        """How many bots sent a request."""
        return self._users(BOT)

    @cached_property
    def fans(self) -> int:
        """How many fans sent a request."""
        return self._users("fan")

    def _users(self, kind: str) -> int:
        requests = self.record.table("requests")
        of_kind = requests.filter(pc.equal(requests["kind"], kind))
        return len(set(zip(of_kind["worker"].to_pylist(), of_kind["user"].to_pylist(), strict=True)))

    @cached_property
    def metrics(self) -> pa.Table:
        """What the platform says of itself, its own metrics under our names where the scenario says so."""
        return our_metrics(self.record)

    def is_unfed(self, indicator: str) -> bool:
        """Whether no metric of a platform of the user's own feeds that indicator."""
        own = self.everybody.own_platform
        return own is not None and indicator not in own.indicators

    @cached_property
    def duration_s(self) -> float:
        """Length of the run on the release clock, from the scenario, else up to the last operation."""
        planned = self.record.run.scenario.get("duration_s")
        if isinstance(planned, int | float):
            return float(planned)
        starts = self.requests.column("t_start_s").to_numpy()
        return float(starts.max()) if len(starts) else 0.0


def of_locustfile(requests: pa.Table) -> pa.Table:
    """The requests of the users of a locustfile."""
    return requests.filter(pc.equal(requests["kind"], LOCUST_KIND))


def percentile(values: Floats | Sequence[float], quantile: float) -> float | None:
    """The nearest-rank percentile: the smallest observed value that at least this share of samples does not exceed.

    It is always a value that was really seen, unlike an interpolated one. None without samples.
    """
    if len(values) == 0:
        return None
    return float(np.quantile(np.asarray(values), quantile, method="inverted_cdf"))


def ratio(part: int, whole: int) -> Measured:
    """A share of a whole; null when there is no whole."""
    return Measured(part / whole if whole else None, whole)

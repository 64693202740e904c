"""A plugin of gatecrash: one indicator, one invariant, one fault kind, one section of the report."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter

from gatecrash.plugins import (
    Evidence,
    FaultKind,
    Indicator,
    Invariant,
    NoOptions,
    Observations,
    Place,
    Plugin,
    Prepared,
    Record,
    Samples,
    Section,
    Table,
    Tally,
    Verdict,
    during,
    share_of,
)


def single_seats(seen: Observations) -> Samples:
    """(who, when, whether the hold was of one seat) of each hold that was granted."""
    granted = (hold for hold in seen.history.holds if hold.outcome == "ok")
    return share_of([(hold.actor, hold.t_invoke_s, len(hold.value.seats) == 1) for hold in granted])


def no_free_order(evidence: Evidence) -> Tally:
    """Compares the price of each confirmed purchase with nothing."""
    tally = Tally(evidence)
    for pay in evidence.pays:
        if pay.outcome != "ok" or pay.value.amount_cents is None:
            continue
        tally.checked += 1
        if pay.value.amount_cents <= 0:
            tally.violated(f"order {pay.value.order_id} cost nothing", during(pay, "was told so"))
    return tally


def prepare(place: Place, options: NoOptions) -> Prepared:
    """Whatever undoing needs: it is on disk before the fault is injected."""
    return {"url": f"{place.control}/proxies/{place.name}"}


def shut(prepared: Prepared) -> None:
    """The proxy refuses connections."""
    _enabled(prepared, False)


def open_again(prepared: Prepared) -> None:
    """Safe to do twice."""
    _enabled(prepared, True)


def _enabled(prepared: Prepared, enabled: bool) -> None:
    body = json.dumps({"enabled": enabled}).encode()
    with urllib.request.urlopen(urllib.request.Request(str(prepared["url"]), body), timeout=5) as answer:
        answer.read()


def party_sizes(record: Record, verdict: Verdict) -> Table:
    """How many holds of each size were granted."""
    granted = (hold for hold in Evidence(record).holds if hold.outcome == "ok")
    sizes = Counter(len(hold.value.seats) for hold in granted)
    rows = tuple((str(size), str(count)) for size, count in sorted(sizes.items()))
    return Table(text="Holds that were granted.", columns=("Seats", "Holds"), rows=rows)


PLUGIN = Plugin(
    indicators=(
        Indicator(
            name="single_seat_ratio",
            title="Holds of a single seat",
            unit="ratio",
            better="lower",
            description="Granted holds of one seat, of all granted.",
            source="operations",
            to_do="offer neighbouring seats first",
            measure=lambda seen: single_seats(seen).measured,
            samples=single_seats,
        ),
    ),
    invariants=(
        Invariant(
            name="no_free_order",
            title="No order costs nothing",
            check="The price of each confirmed purchase is above zero.",
            chance="confirmed purchases with a price",
            exercised_by=("pay",),
            to_do="stop the sale, and look at the price list",
            checker=no_free_order,
        ),
    ),
    faults=(
        FaultKind(
            name="shut",
            title="The proxy refuses connections",
            on="proxy",
            prepare=prepare,
            inject=shut,
            undo=open_again,
        ),
    ),
    sections=(Section(name="party_sizes", title="Party sizes", view=party_sizes),),
)

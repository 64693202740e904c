"""The indicators by name: what each says, and in which unit. Scenario files set objectives; `harness.sli` measures."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from harness.registry.capabilities import Capability

PERCENTILES: Final = (50, 95, 99)
STEPS: Final = {
    "join": "join",
    "seat_map": "seat map",
    "stock": "stock",
    "hold": "hold",
    "choose": "choice",
    "pay": "payment",
    "order": "order look-up",
}
"""The verbs that fans wait for and that are operations of the history, in words."""
_NEEDS: Final[dict[str, tuple[Capability, ...]]] = {
    "join": (Capability.QUEUE,),
    "seat_map": (Capability.SEATS,),
    "stock": (Capability.STOCK,),
    "choose": (Capability.NO_HOLD,),
    "order": (Capability.LOOKUP,),
}
_UNLESS: Final = {"hold": (Capability.NO_HOLD,)}
_WAIT: Final = "From when the fan meant to ask to the answer; refusals left out, time-outs counted as waited."
_MEASURE: Final = re.compile(r"(_(p\d+|max))?(_(ms|s|ratio|per_s|max))?$")


class Indicator(msgspec.Struct, frozen=True):
    """One indicator. `source`: the tables that it is measured from.

    `metric`: the one metric of the reference system that it is measured from, which a platform of the user's own may
    replace by one of its own; "" when there is no such metric. `needs`: capabilities without which the indicator has no
    meaning. `unless`: capabilities with which it has none. `plugin`: the plugin that it is of, "" for our own; `to_do`:
    of a plugin's, what to do when its objective is missed.
    """

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    description: str
    source: str
    metric: str = ""
    needs: tuple[Capability, ...] = ()
    unless: tuple[Capability, ...] = ()
    of_requests: bool = False  # measured from requests alone, so that the users of a locustfile can be judged by it
    of_faults: bool = False  # as a rule only a fault gives it samples, so a scenario without faults does not require it
    to_do: str = ""
    plugin: str = ""

    @property
    def is_fed(self) -> bool:
        """Whether it is measured from the platform's metrics: a platform of the user's own must map one to it."""
        return self.source == "metrics"

    @property
    def runbook(self) -> str:
        """The section of the runbooks that explains the indicator: its name without percentile and unit.

        All percentiles of one step share a section; no two other indicators do.
        """
        return _MEASURE.sub("", self.name).replace("_", "-")


def _step_indicators() -> tuple[Indicator, ...]:
    return tuple(
        Indicator(
            f"{step}_response_p{percent}_ms",
            f"{words.capitalize()} response p{percent}",
            "ms",
            "lower",
            _WAIT,
            "operations",
            needs=_NEEDS.get(step, ()),
            unless=_UNLESS.get(step, ()),
        )
        for step, words in STEPS.items()
        for percent in PERCENTILES
    )


def _request_indicators() -> tuple[Indicator, ...]:
    return tuple(
        Indicator(
            f"request_response_p{percent}_ms",
            f"Request response p{percent}",
            "ms",
            "lower",
            "Of every request of the users of a locustfile, from its first byte sent to the last received.",
            "requests",
            of_requests=True,
        )
        for percent in PERCENTILES
    )


_ALL: Final = (
    Indicator(
        "queue_admission_rate_per_s",
        "Queue admission rate",
        "1/s",
        "higher",
        "Fans admitted per second, from the first until 95 % of those who asked to join were in; 0 when nobody was. "
        "Those whose lot was not drawn do not count.",
        "operations",
        needs=(Capability.QUEUE,),
    ),
    Indicator(
        "bot_share_of_seats",
        "Seats that bots got",
        "ratio",
        "lower",
        "Seats confirmed to bots, of all seats confirmed to anybody. Bots count in no other indicator.",
        "operations",
        needs=(Capability.QUEUE, Capability.SEATS),
    ),
    Indicator(
        "checkout_completion_ratio",
        "Checkout completion",
        "ratio",
        "higher",
        "Fans told that their order is confirmed, of those let in who wanted to buy and for whom a seat was left. "
        "Fans without a ticket who began too late to have one by the end of the run are left out; the report says how "
        "many.",
        "operations, final_seats",
    ),
    Indicator(
        "empty_handed_ratio",
        "Fans who went empty-handed",
        "ratio",
        "lower",
        "Fans who wanted to buy and were never told that they have a ticket, of all who wanted to. "
        "Those whose lot was not drawn do not count.",
        "operations",
    ),
    Indicator(
        "payment_failure_ratio",
        "Payment failures",
        "ratio",
        "lower",
        'Purchases with a good card that never got a yes or an "in progress". Where choosing keeps nothing, a purchase '
        "that was refused because the last ticket went is left out.",
        "operations",
    ),
    Indicator(
        "time_to_first_position_p95_s",
        "Time to first position p95",
        "s",
        "lower",
        "From when the fan meant to open the queue page to the first position seen.",
        "requests, events",
        needs=(Capability.QUEUE,),
    ),
    Indicator(
        "queue_page_response_p99_ms",
        "First page response p99",
        "ms",
        "lower",
        f"{_WAIT} Each request of coming to the sale counts, such as those of a login.",
        "requests",
    ),
    *_step_indicators(),
    *_request_indicators(),
    Indicator(
        "hold_expiry_ratio",
        "Holds that ran out",
        "ratio",
        "lower",
        "Holds neither paid for, declined nor released, of all that could run out during the run.",
        "operations",
        unless=(Capability.NO_HOLD,),
    ),
    Indicator(
        "contention_ratio",
        "Holds lost to somebody faster",
        "ratio",
        "lower",
        "Holds of seats that another was granted after the fan's map was asked for, of all granted or conflicted.",
        "operations",
        needs=(Capability.SEATS,),
        unless=(Capability.NO_HOLD,),
    ),
    Indicator(
        "stale_map_ratio",
        "Holds on a stale map",
        "ratio",
        "lower",
        "Holds of seats that were taken already when the fan's map was asked for, of all granted or conflicted.",
        "operations",
        needs=(Capability.SEATS,),
        unless=(Capability.NO_HOLD,),
    ),
    Indicator(
        "stale_stock_ratio",
        "Stale numbers of tickets left",
        "ratio",
        "lower",
        "Looks that showed more of a pool than was left for all of rules.map_late_max_s before, of looks at pools of "
        "which fans had tickets for so long.",
        "operations",
        needs=(Capability.STOCK,),
    ),
    Indicator(
        "error_ratio",
        "Errors",
        "ratio",
        "lower",
        "Requests refused, cut off or timed out, of all before settling.",
        "requests",
        of_requests=True,
    ),
    Indicator(
        "feed_freshness_p99_ms",
        "Feed freshness p99",
        "ms",
        "lower",
        "From a seat's change to its arrival at a connected follower.",
        "events",
        needs=(Capability.FEED,),
    ),
    Indicator(
        "reconnect_recovery_p95_s",
        "Reconnect recovery p95",
        "s",
        "lower",
        "From a follower's lost connection to its next open one.",
        "events",
        needs=(Capability.FEED,),
        of_faults=True,
    ),
    Indicator(
        "cache_hit_ratio",
        "Cache hits",
        "ratio",
        "higher",
        "Requests answered by the platform's cache, of all that asked it.",
        "metrics",
    ),
    Indicator(
        "db_write_latency_p99_ms",
        "Database write p99",
        "ms",
        "lower",
        "From the platform's histogram of database writes.",
        "metrics",
        metric="target_db_write_seconds",
    ),
    Indicator(
        "websocket_connections_max",
        "WebSocket connections, most",
        "connections",
        "higher",
        "Most feed connections open at one time, over all feed nodes.",
        "metrics",
        metric="target_websocket_connections",
    ),
    Indicator(
        "queue_depth_max",
        "Queue depth, most",
        "fans",
        "lower",
        "Most fans waiting at one time.",
        "metrics",
        metric="target_queue_depth",
        needs=(Capability.QUEUE,),
    ),
    Indicator(
        "replica_lag_max_s",
        "Replica lag, most",
        "s",
        "lower",
        "Furthest that the replica was behind the primary.",
        "metrics",
        metric="target_replica_lag_seconds",
    ),
)
INDICATORS: Final[dict[str, Indicator]] = {each.name: each for each in _ALL}

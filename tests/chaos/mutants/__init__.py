"""Each shipped experiment, the behaviour that is broken to see it fail, and what must say so."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """A mutant of tests/chaos/mutants/site, and the expectation that must be missed then."""

    mutant: str
    missed: str


BREAKER = "breaker_never_opens"
MUTATIONS = {
    "booking-node-loss": Mutation("restart_is_slow", "holds are as before"),
    "db-unreachable": Mutation(BREAKER, "the db breaker opens"),
    "feed-node-loss": Mutation("replay_skips", "nobody misses a seat change"),
    "payment-errors": Mutation(BREAKER, "the payments breaker opens"),
    "payment-latency-8s": Mutation(BREAKER, "the payments breaker opens"),
    "payment-latency-8s-upstream": Mutation(BREAKER, "the payments breaker opens"),
    "redis-and-payments": Mutation(BREAKER, "the redis breaker opens"),
    "redis-down": Mutation(BREAKER, "the redis breaker opens"),
    "redis-hang": Mutation(BREAKER, "the redis breaker opens"),
    "redis-kill": Mutation(BREAKER, "the redis breaker opens"),
    "redis-partition": Mutation(BREAKER, "the redis breaker opens"),
    "replica-stale": Mutation("lag_is_never_seen", "the lag is seen"),
    "replication-cut": Mutation("lag_never_ends", "the lag is gone"),
    "slow-network": Mutation("holds_are_chatty", "holds are slower, within limits"),
    "websocket-drops": Mutation("replay_skips", "nobody misses a seat change"),
    "websocket-drops-10": Mutation("replay_skips", "nobody misses a seat change"),
    "websocket-drops-all": Mutation("replay_skips", "nobody misses a seat change"),
    "zone-loss": Mutation("replay_skips", "nobody misses a seat change"),
}
"""By the name of the experiment."""

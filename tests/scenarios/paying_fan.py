"""A fan who pays for a hold, in a process of its own: the journeys load Locust, which patches the whole process.

python -m tests.scenarios.paying_fan URL REPEAT_PAYMENT_RATIO        # prints its payments as JSON
"""

from __future__ import annotations

import json
import sys
from time import monotonic

from scenarios.fan import Visit  # isort: skip - it patches what is imported afterwards
from harness.platform import Hold, Person
from harness.scenario import Journey
from harness.stack import Addresses
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.plan import fan_plan
from scenarios.reference.platform import ReferencePlatform

HELD = Hold(hold_id="h.1", seats=("101-A-1",), ttl_s=8.0)


def main(url: str, ratio: str) -> None:
    """Pay, and follow the order to its end."""
    recorder = Recorder(1)
    journey = Journey(think_s=0.0, over_limit_ratio=0.0, repeat_payment_ratio=float(ratio))
    plan = fan_plan(journey, 7, 1)
    person = Person(user=1, kind="fan", actor=plan.actor, identity=plan.identity)
    session = ReferencePlatform(Addresses(booking=url, feeds=(), event="game-1"), recorder).fan_session(person)
    Visit(session, plan, monotonic(), lambda _: None)._pay(HELD)
    session.close()
    rows = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    json.dump([row for row in rows if row["function"] == "pay"], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

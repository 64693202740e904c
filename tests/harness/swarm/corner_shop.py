"""A platform and journeys of one's own, loaded by "FILE:CLASS": the least that a swarm can be run with.

Only used inside the swarm's processes: importing it imports Locust.
"""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

import gevent

from harness.platform import Call, Capability, FinalReads, FinalSeat, Person
from harness.record.schema import Function, Outcome, SeatMapFacts
from harness.swarm.client.http import Endpoint, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.messaging import messages
from harness.swarm.users.plan import fan_plan
from harness.swarm.users.user import DONE, Pace, RehearsalUser

PAGE = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
JOIN = Endpoint("join", "POST", frozenset({201}), idempotent=True)
CHECK = Endpoint("settle", "GET", frozenset({200}), idempotent=True)


class ShopSession:
    def __init__(self, url, recorder, person):
        self.person = person
        self.recorder = recorder
        self.client = HttpClient(resolve(url), recorder, person)

    @property
    def first_send_s(self):
        return self.client.first_send_s

    def arm(self, *, warm):
        return self.client.prepare(PAGE, "/page") if warm else None

    def queue_page(self, call):
        return self.client.call(PAGE, "/page", call)

    def join(self, call):
        operation = self.recorder.begin(self.person, Function.JOIN, call, key=self.person.actor, value={})
        response = self.client.call(JOIN, f"/join/{self.person.actor}", operation.call, b"", b"")
        operation.end(Outcome(response.outcome), error=response.error, t_end_s=response.t_end_s)
        return response

    def close(self):
        self.client.close()


class CornerShop:
    capabilities = frozenset({Capability.QUEUE, Capability.SEATS})

    def __init__(self, addresses, recorder):
        self.addresses = addresses
        self.recorder = recorder

    def fan_session(self, person):
        return ShopSession(self.addresses.booking, self.recorder, person)

    def final_reads(self, acked, timeout_s):
        client = HttpClient(
            resolve(self.addresses.booking),
            self.recorder,
            Person(user=-1, kind="operator", actor="operator", identity="operator"),
        )
        status = client.call(CHECK, "/rest", Call(t_intended_s=monotonic())).status
        client.close()
        seats = (FinalSeat(seat="1-A-1", state="free"), FinalSeat(seat="1-A-2", state="sold"))
        return FinalReads(at_rest=status == 200, seats=seats, orders=(), seat_map=SeatMapFacts(capacity=2))

    def sweep(self, seats):
        raise AssertionError("it never said that it can be swept")


class ShopWithProbes(CornerShop):
    def probe_session(self, person):
        return ShopSession(self.addresses.booking, self.recorder, person)


class Watcher:
    """A probe; the second of them drops its glasses."""

    step = "arming"

    def __init__(self, platform, barrier, plan):
        self.platform, self.barrier, self.plan = platform, barrier, plan

    def go(self):
        actor = self.plan.actor
        person = Person(user=-1 - self.plan.number, kind="probe", actor=actor, identity=actor)
        session = self.platform.probe_session(person)
        self.barrier.wait()
        self.step = "queue_page"
        session.queue_page(Call(t_intended_s=monotonic()))
        if self.plan.number == 2:
            raise KeyError("glasses")
        gevent.sleep(60)


class Customer(RehearsalUser):
    kind: ClassVar[str] = "fan"

    @property
    def first_send_s(self):
        return self.session.first_send_s

    def arm(self, user):
        plan = fan_plan(self.worker_context.scenario.load.journey, self.worker_context.seed, user)
        person = Person(user=user, kind=self.kind, actor=plan.actor, identity=plan.identity)
        self.session = self.worker_context.platform.fan_session(person)
        return self.session.arm(warm=self.worker_context.scenario.load.connect == "warm")

    def journey(self, t0):
        pace = Pace(t0.monotonic_s)
        self.at("queue_page")
        pace.completed(self.session.queue_page(pace.at_once()).t_end_s)
        self.at("join")
        self.session.join(pace.after(0.1))
        return DONE

    def leave(self):
        self.session.close()


class Loiterer(Customer):
    """Never leaves: keeps joining until it is told to stop."""

    def journey(self, t0):
        super().journey(t0)
        while True:
            self.session.join(Call(t_intended_s=monotonic()))
            gevent.sleep(0.05)


class Clumsy(Customer):
    """Trips over its own feet."""

    def journey(self, t0):
        super().journey(t0)
        raise KeyError("shoelace")


class Dawdler(Customer):
    """Number 3 never gets as far as the door."""

    def arm(self, user):
        if user == 3:
            gevent.sleep(60)
        return super().arm(user)


class Latecomer(Customer):
    """The users get as far as the door one after another, half a second apart."""

    def arm(self, user):
        gevent.sleep(0.5 * user)
        return super().arm(user)


class Impostor(Customer):
    """Its worker says that the other one has ended, and that it recorded nothing."""

    def journey(self, t0):
        step = super().journey(t0)
        ended = messages.Ended(
            worker=3 - self.worker_context.recorder.worker,
            requests_sent=0,
            first_sends_s=(),
            followers=0,
            cut=(),
            batches={},
            notes=(),
        )
        self.environment.runner.send_message(messages.MESSAGE_TYPE, messages.pack(ended))
        return step

"""Where one booking process may not have all connections, several do the booking, and fans are spread over them."""

from __future__ import annotations

from contextlib import ExitStack

from harness.platform import Call, Person
from harness.stack import Addresses
from harness.stack.reference.embedded import _Ports
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.platform import ReferencePlatform
from tests.harness.swarm.scripted_server import Asked, response, serving


def test_each_process_has_a_name_and_a_port_of_its_own() -> None:
    targets = _Ports.choose(0, 3).targets()
    assert list(targets) == ["payments", "booking", "booking-2", "booking-3", "worker", "feed-1", "feed-2"]
    assert len(set(targets.values())) == len(targets)
    assert "booking-2" not in _Ports.choose(0, 1).targets()


def test_fans_are_spread_over_them_and_stay_where_they_are() -> None:
    def page(_: Asked) -> list[bytes]:
        return [response(b"<!doctype html>")]

    with ExitStack() as stack:
        first, *others = [stack.enter_context(serving(page)) for _ in range(3)]
        urls = tuple(server.url for server in others)
        addresses = Addresses(booking=first.url, booking_others=urls, feeds=(), event="e")
        platform = ReferencePlatform(addresses, Recorder(1))
        for user in range(6):
            name = f"fan-{user}"
            session = platform.fan_session(Person(user=user, kind="fan", actor=name, identity=name))
            session.queue_page(Call(t_intended_s=0.0))
            session.queue_page(Call(t_intended_s=0.0))
            session.close()
    assert [len(server.asked) for server in (first, *others)] == [4, 4, 4]

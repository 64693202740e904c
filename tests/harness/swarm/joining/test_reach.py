"""Where workers of other machines may be told to join."""

from __future__ import annotations

import ipaddress
import socket

import psutil
import pytest

from harness.errors import InputError
from harness.swarm.joining.reach import reach_of
from harness.swarm.messaging.protocol import Reach


def address_on_a_network() -> str:
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family is socket.AF_INET and not ipaddress.ip_address(one.address).is_loopback:
                return one.address
    pytest.skip("this machine is on no network")


def test_loopback_is_for_workers_of_this_machine() -> None:
    assert reach_of("127.0.0.1", 2, web=False) == Reach(listen="127.0.0.1", port=5557, remote_workers=2)
    assert reach_of("127.0.0.1:6000", 1, web=False).port == 6000
    assert reach_of("127.0.0.1:6000", 0, web=False).port == 0


def test_an_address_of_this_machine_is_for_others_where_the_stack_can_be_there_too() -> None:
    own = address_on_a_network()
    assert reach_of(own, 1, web=False).listen == own
    with pytest.raises(InputError, match="cannot reach the stack 'compose'"):
        reach_of(own, 1, web=False, stack="compose")


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("0.0.0.0", "no address that others can call"),
        ("192.0.2.7", "no address of this machine"),
        ("nobody.invalid", "no address of this machine"),
        (":5557", "names no host"),
        ("box:port", "box:port"),
    ],
)
def test_what_cannot_be_listened_at_is_refused(listen: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        reach_of(listen, 1, web=False)

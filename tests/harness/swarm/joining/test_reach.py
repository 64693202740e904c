"""Where workers of other machines may be told to join."""

from __future__ import annotations

import ipaddress
import os
import shlex
import socket
from pathlib import Path

import msgspec
import psutil
import pytest

from harness.errors import InputError
from harness.scenario import OwnPlatform
from harness.swarm.joining.reach import invitation, reach_of
from harness.swarm.messaging import KEY_VARIABLE
from harness.swarm.messaging.protocol import Reach
from harness.swarm.messaging.run_key import RunKey
from tests.harness.swarm.swarm_process import SHOP, shop_spec


def address_on_a_network() -> str:
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family is socket.AF_INET and not ipaddress.ip_address(one.address).is_loopback:
                return one.address
    pytest.skip("this machine is on no network")


def test_loopback_is_for_workers_of_this_machine() -> None:
    reach = reach_of("127.0.0.1", 2, web=False)
    assert reach == Reach(listen="127.0.0.1", port=5557, remote_workers=2, key=reach.key)
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


def test_each_rehearsal_draws_a_key_unless_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {reach_of("127.0.0.1", 1, web=False).key for _ in range(3)}
    assert len(keys) == 3
    assert {RunKey.parse(key).text for key in keys} == keys
    assert reach_of("127.0.0.1", 0, web=False).key == ""
    monkeypatch.setenv(KEY_VARIABLE, "AB" * 32)
    assert reach_of("127.0.0.1", 1, web=False).key == "ab" * 32
    assert KEY_VARIABLE not in os.environ  # no child process inherits it


def test_what_is_no_key_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "hunter2")
    with pytest.raises(InputError, match=f"{KEY_VARIABLE}: is not a key of 64 hexadecimal digits") as refused:
        reach_of("127.0.0.1", 1, web=False)
    assert "hunter2" not in str(refused.value)


def test_the_line_to_paste_names_the_key_and_all_that_is_asked_for(tmp_path: Path) -> None:
    spec = shop_spec("http://10.0.0.5:1", tmp_path / "a shop")
    own = OwnPlatform(people=str(tmp_path / "my people.csv"), secrets={"token": "SHOP_TOKEN"})
    spec = msgspec.structs.replace(
        spec,
        addresses=msgspec.structs.replace(spec.addresses, own=own),
        reach=reach_of("127.0.0.1", 1, web=False),
    )
    words = shlex.split(invitation(spec, 5557))
    assert words[:6] == ["gatecrash", "worker", "--master", "127.0.0.1:5557", "--key", spec.reach.key]
    *loads, secret, name = words[6:]
    assert (loads[::2], secret, name) == (["--load", "--load"], "--secret", "SHOP_TOKEN")
    assert sorted(loads[1::2]) == sorted([str(tmp_path / "my people.csv"), str(SHOP)])

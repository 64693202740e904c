"""Where the load of a machine comes from: named by the user, or as much of 127.0.0.0/8 as the arrivals need."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.processes.source_addresses import FILLED_FAST, addresses_of, here, require_found, require_here, share_of

LOOPBACK = "http://127.0.0.1:8000"
ELSEWHERE = "198.51.100.7"  # of TEST-NET-2: no machine has it
PORTS = 28_000


def test_a_small_crowd_on_loopback_leaves_the_choice_to_the_kernel() -> None:
    assert addresses_of((), (LOOPBACK,), round(PORTS * FILLED_FAST), PORTS) == ()


@pytest.mark.parametrize("users", [12_000, 50_000, 200_000])
def test_a_crowd_on_loopback_gets_addresses_enough_to_find_ports_fast(users: int) -> None:
    addresses = addresses_of((), (LOOPBACK, "ws://127.0.0.1:9000"), users, PORTS)
    assert addresses[:2] == ("127.0.0.1", "127.0.0.2")
    assert len(set(addresses)) == len(addresses)
    assert users / len(addresses) <= PORTS * FILLED_FAST < users / (len(addresses) - 1)
    assert here(addresses) == addresses


@pytest.mark.parametrize(
    "platform",
    [
        "http://10.0.0.5:80",
        "http://[::1]:80",
        "http://tickets.example",
        "http://127.0.0.1.nip.io",
        "http://127.example",
    ],
)
def test_beyond_the_loopback_nothing_is_chosen_for_the_user(platform: str) -> None:
    assert addresses_of((), (LOOPBACK, platform), 200_000, PORTS) == ()


def test_of_the_addresses_of_all_machines_each_takes_its_own() -> None:
    assert addresses_of((ELSEWHERE, "127.0.0.9"), ("http://10.0.0.5:80",), 10, PORTS) == ("127.0.0.9",)


def test_an_address_that_the_machine_has_not_is_named() -> None:
    with pytest.raises(InputError, match=f"{ELSEWHERE} is no address of this machine") as refused:
        require_here(("127.0.0.1", ELSEWHERE), every=True)
    assert refused.value.key == "load.source_addresses"
    require_here(("127.0.0.1", ELSEWHERE), every=False)
    with pytest.raises(InputError, match=r"198.51.100.7 and 198.51.100.8 are no addresses of this machine"):
        require_here((ELSEWHERE, "198.51.100.8"), every=False)
    require_here((), every=False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "127.255.255.255"])
def test_no_connection_comes_from_an_address_that_is_nobodys_own(address: str) -> None:
    assert here(("127.0.0.9", address)) == ("127.0.0.9",)
    with pytest.raises(InputError, match="is no address of this machine"):
        require_here((address,), every=True)


def test_the_machines_of_a_rehearsal_together_have_them_all() -> None:
    require_found(("10.0.0.1", "10.0.0.2"), [("10.0.0.1",), ("10.0.0.2",)])
    require_found((), [()])
    with pytest.raises(InputError, match=r"no machine of this rehearsal has 10.0.0.3"):
        require_found(("10.0.0.1", "10.0.0.3"), [("10.0.0.1",), ()])


@pytest.mark.parametrize(("addresses", "workers"), [(18, 2), (18, 4), (3, 3), (1, 4), (2, 3)])
def test_workers_divide_the_addresses_and_none_is_left_out(addresses: int, workers: int) -> None:
    all_of_them = tuple(f"127.0.0.{number}" for number in range(1, addresses + 1))
    shares = [share_of(all_of_them, number, workers) for number in range(workers)]
    assert all(shares)
    assert {address for share in shares for address in share} == set(all_of_them)
    if addresses >= workers:
        assert sum(map(len, shares)) == addresses
    assert share_of((), 0, workers) == ()

"""Names and addresses of hosts, told apart without looking one up."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.hosts import host_and_port, is_host, is_loopback


@pytest.mark.parametrize(
    "text", ["localhost", "shop.example", "shop.example.", "a_b", "xn--strae-oqa.de", "10.0.0.5", "::1", "x" * 63]
)
def test_a_host_can_be_looked_up(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a", "a-", "straße", "a b", "a/b", "x" * 64, ".".join(["x" * 60] * 5), "*", "a\nb"]
)
def test_what_is_no_host(text: str) -> None:
    assert not is_host(text)


@pytest.mark.parametrize("host", ["127.0.0.1.nip.io", "127.example", "localhost.example", "0.0.0.0", "::", "10.0.0.1"])
def test_what_may_be_elsewhere_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_host_may_have_a_port() -> None:
    assert host_and_port("h", "--x") == ("h", None)
    assert host_and_port("h:7", "--x") == ("h", 7)
    assert host_and_port("[::1]:7", "--x") == ("::1", 7)


@pytest.mark.parametrize("text", ["", ":7", "h:x", "h:99999", "::1", "h/x", "u@h", "http://h", "[x", "a\nb", "a..b:7"])
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(InputError, match=r"^--x: .*\(HOST or HOST:PORT") as refused:
        host_and_port(text, "--x")
    assert "\n" not in str(refused.value)

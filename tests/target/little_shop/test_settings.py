"""The options: what they mean, and which are refused."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from target.little_shop.settings import Queue, SettingsError, read_settings
from tests.target.little_shop.shops import ROOT


def test_the_stock_is_a_number_or_a_list_of_pools() -> None:
    assert read_settings(["--stock", "7"], {}).pools == {"standing": 7}
    assert read_settings(["--stock", "a=1,b=2"], {}).pools == {"a": 1, "b": 2}


def test_a_base_path_is_written_in_one_way() -> None:
    assert [read_settings(["--base-path", each], {}).base_path for each in ("/", "onsale/", "/a/b")] == [
        "",
        "/onsale",
        "/a/b",
    ]


def test_secrets_come_from_the_environment() -> None:
    assert read_settings([], {"LITTLE_SHOP_TOKEN": "t"}).operator_token == "t"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--stock", "many"], "--stock many"),
        (["--queue", "room"], "needs --room-url"),
        (["--host", "0.0.0.0"], "LITTLE_SHOP_TOKEN"),
    ],
)
def test_what_cannot_be_used_is_named(options: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read_settings(options, {})


def test_queues_have_the_names_of_the_options() -> None:
    assert read_settings(["--queue", "sse"], {}).queue is Queue.SSE


def test_a_port_that_is_taken_is_not_shared() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "target.little_shop", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "in use" in done.stderr

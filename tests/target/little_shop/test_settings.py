"""The options: what they mean, and which are refused."""

from __future__ import annotations

import pytest

from target.little_shop.settings import Queue, SettingsError, read_settings


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

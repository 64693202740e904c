"""A shop behind HTTPS, a reverse proxy, a base path, a firewall and a login: looked at, and one ticket bought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.errors import InputError
from harness.record.paths import RunPaths
from harness.rehearsal.adapter import describe, try_out
from harness.scenario import OwnPlatform
from harness.stack.own import OwnStack
from tests.guarded_shop import ENVIRONMENT, PASSWORD, guarded_shop
from tests.target.little_shop.shops import TOKEN

pytestmark = pytest.mark.needs_nginx


def wrong(message: str, *keys: str | int, hint: str = "") -> InputError:
    return InputError(message, key=".".join(map(str, keys)), hint=hint)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    found = RunPaths(root=tmp_path / "run")
    found.logs.mkdir(parents=True)
    return found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPlatform]:
    """The section of a scenario whose shop is up."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with guarded_shop(tmp_path, 6) as section:
        yield msgspec.convert(section, OwnPlatform)


def stack_of(platform: OwnPlatform, paths: RunPaths) -> OwnStack:
    return OwnStack(platform, paths.root, paths.logs, error=wrong)


def test_one_ticket_is_bought_and_no_secret_is_kept(shop: OwnPlatform, paths: RunPaths) -> None:
    assert "stock" in describe(shop, shop.adapter).capabilities
    with stack_of(shop, paths) as stack:
        assert stack.addresses.booking == shop.url
        try_out(stack.addresses, stack.platform, 4, paths)
    report = msgspec.json.decode((paths.logs / "trial.json").read_bytes())
    assert report["problems"] == []
    assert {"buy", "orders"} & {told["verb"] for told in report["verbs"]}
    for path in paths.root.rglob("*"):
        kept = path.read_bytes() if path.is_file() else b""
        for secret in (PASSWORD, TOKEN, "word0005"):
            assert secret.encode() not in kept


def test_a_wrong_token_is_found_before_any_load(
    shop: OwnPlatform, paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITTLE_SHOP_TOKEN", "another")
    with stack_of(shop, paths) as stack, pytest.raises(InputError, match=r"401") as caught:
        try_out(stack.addresses, stack.platform, 4, paths)
    assert "\n" not in str(caught.value)
    assert str(caught.value.file).endswith("scenarios/little_shop/shop.py")
    assert caught.value.line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"headers": {}}, "answered 403 Forbidden to a GET"),
        ({"ca_file": ""}, "no TLS with 127.0.0.1"),
    ],
)
def test_what_keeps_us_out_is_one_line(
    shop: OwnPlatform, paths: RunPaths, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        stack_of(msgspec.structs.replace(shop, **changes), paths).__enter__()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_path_is_one_line(shop: OwnPlatform, paths: RunPaths) -> None:
    elsewhere = msgspec.structs.replace(shop, url=shop.url.replace("/onsale", "/elsewhere"))
    with pytest.raises(InputError, match=r"answered 404 Not Found to a GET \(expected a page: is the path right\?"):
        stack_of(elsewhere, paths).__enter__()

"""docker-compose.yml: what holds of the file alone, and the whole platform on a real engine where its images are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib import request

import pytest
import yaml

from harness.errors import EnvironmentProblem, InputError
from harness.processes.ports import free_ports
from harness.record.collecting.spans import spans_file
from harness.scenario import OnSale
from harness.stack.choice import require_stack, stack_of
from harness.stack.compose.command import FILE
from harness.stack.compose.stack import ComposeStack
from tests.chaos.containers import engine
from tests.waiting import wait_until

TEXT = FILE.read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
IMAGES = "GATECRASH_TARGET_IMAGE"


def test_nothing_is_published_beyond_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any(service.get("network_mode") == "host" for service in SERVICES.values())


def test_no_secret_is_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            assert not re.search("SECRET|TOKEN|PASSWORD|DSN", name), name
            assert "://" not in str(value)


def test_every_image_can_be_another_and_every_service_tells_its_health() -> None:
    one_shot = {"migrate"}
    for name, service in SERVICES.items():
        assert service["image"].startswith("${GATECRASH_"), name
        assert ("disable" in service["healthcheck"]) == (name in one_shot)


def test_an_unknown_stack_is_refused() -> None:
    with pytest.raises(InputError, match="'kubernetes' is no stack"):
        require_stack("kubernetes")


def test_without_an_engine_it_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(EnvironmentProblem, match="no Docker engine answers") as caught:
        stack_of("compose", OnSale(), tmp_path).__enter__()
    assert "\n" not in caught.value.message


@pytest.fixture(scope="module")
def images() -> None:
    if IMAGES not in os.environ:
        pytest.skip(f"no {IMAGES}: .ci/images/build makes the images")


@pytest.fixture(scope="module")
def stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    with ComposeStack(OnSale(), tmp_path_factory.mktemp("logs")) as raised:
        yield raised


@pytest.mark.e2e
@pytest.mark.needs_docker
class TestOnAnEngine:
    """One stack for all of them: it takes a while to raise."""

    def test_every_part_answers_at_its_address(self, stack: ComposeStack) -> None:
        where = stack.addresses
        for url in (*where.metrics.values(), f"{where.toxiproxy}/proxies"):
            with request.urlopen(url, timeout=5) as page:
                assert page.status == 200
        assert {info.name for info in stack.processes} >= {"booking", "redis", "postgres-primary", "toxiproxy"}
        assert all(info.pid > 0 for info in stack.processes)

    def test_a_part_that_is_killed_is_no_death_and_can_be_started_again(self, stack: ComposeStack) -> None:
        feed = stack.process("feed-2")
        feed.kill()
        wait_until(lambda: not feed.running)
        assert stack.deaths() == ()
        feed.start_again()
        wait_until(lambda: feed.running)

    def test_experiments_find_the_parts_by_the_names_of_the_embedded_stack(self, stack: ComposeStack) -> None:
        assert stack.process("valkey").container == stack.process("redis").container
        for name in ("booking", "worker", "feed-1", "postgres-replica"):
            assert stack.process(name).running
        with pytest.raises(KeyError):
            stack.process("mainframe")
        with pytest.raises(KeyError):
            stack.postgres_dsn("redis")


@pytest.mark.e2e
@pytest.mark.needs_docker
@pytest.mark.usefixtures("images")
def test_spans_reach_the_back_end_and_the_record_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_ports(1)[0]
    monkeypatch.setenv("COMPOSE_PROFILES", "traces")
    monkeypatch.setenv("GATECRASH_PORT_TRACES", str(port))
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

    def services() -> list[str]:
        with request.urlopen(f"http://127.0.0.1:{port}/api/services", timeout=5) as answer:
            return list(json.load(answer)["data"])

    with ComposeStack(OnSale(), tmp_path, traced=True) as stack:
        page = f"{stack.addresses.booking}/healthz"
        asked = request.Request(page, headers={"traceparent": f"00-{trace_id}-{span_id}-01"})
        with request.urlopen(asked, timeout=10):
            ids = {stack.process(name).container for name in ("booking", "redis", "toxiproxy")}
        wait_until(lambda: "gatecrash-booking" in services(), within_s=30, what="the span")
    (span,) = map(json.loads, spans_file(tmp_path, "booking").read_text().splitlines())
    assert (span["trace_id"], span["parent_id"], span["node"]) == (trace_id, span_id, "booking")
    assert not spans_file(tmp_path, "worker").exists()
    assert all((tmp_path / f"{service}.log").exists() for service in ("booking", "migrate", "redis", "compose"))
    with engine() as client:
        assert not ids & {container.id for container in client.containers.list(all=True)}

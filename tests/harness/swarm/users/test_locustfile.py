"""The users of a locustfile: which classes are taken, what becomes of their requests, and where they may go."""

from __future__ import annotations

import socket
from pathlib import Path

import gevent
import pytest

from harness.errors import InputError
from harness.processes.ports import free_ports
from harness.stack import Addresses
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow
from harness.swarm.users.crashes import CrashLog
from tests.target.little_shop import shops

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from locust import User
    from locust.env import Environment

    from harness.swarm.users.locustfile import AllowedHosts, allowed_hosts, record_requests, users_of

LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, TaskSet, task

class Slow(HttpUser):
    host = "http://elsewhere.example"
    @task
    def look(self):
        self.client.get("/", name="front")

class Fast(FastHttpUser):
    fixed_count = 3
    @task
    class Tasks(TaskSet):
        @task
        def look(self):
            self.client.get("/", name="front")
"""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(1)


@pytest.fixture
def environment() -> Environment:
    return Environment()


@pytest.fixture
def crashes(environment: Environment, recorder: Recorder) -> CrashLog:
    found = CrashLog()
    record_requests(environment, recorder, found)
    return found


def written(folder: Path, text: str) -> str:
    file = folder / "locustfile.py"
    file.write_text(text)
    return str(file)


def rows(recorder: Recorder) -> list[RequestRow]:
    return [row for row in recorder.buffers["requests"].rows if isinstance(row, RequestRow)]


def test_each_user_class_is_taken_with_its_share_and_the_platforms_host(tmp_path: Path) -> None:
    found = users_of(written(tmp_path, LOCUSTFILE), "http://127.0.0.1:1")
    assert [(one.__name__, one.host, one.fixed_count) for one in found] == [
        ("Slow", "http://127.0.0.1:1", 0),
        ("Fast", "http://127.0.0.1:1", 3),
    ]


def test_where_all_counts_are_fixed_they_are_shares_of_those_who_come(tmp_path: Path) -> None:
    text = LOCUSTFILE.replace('    host = "http://elsewhere.example"', "    fixed_count = 1")
    assert [(one.weight, one.fixed_count) for one in users_of(written(tmp_path, text), "x")] == [(1, 0), (3, 0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("from locust import HttpUser\n", "no user class"),
        ("from scenarios.fan import FanUser\n", "journey of gatecrash"),
        ("import no_such_module\n", "cannot be loaded"),
    ],
)
def test_what_is_no_locustfile_is_said(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        users_of(written(tmp_path, text), "http://127.0.0.1:1")


def users(tmp_path: Path, url: str, environment: Environment) -> list[User]:
    return [one(environment) for one in users_of(written(tmp_path, LOCUSTFILE), url)]


@pytest.mark.usefixtures("crashes")
def test_a_request_of_either_client_is_a_row(tmp_path: Path, environment: Environment, recorder: Recorder) -> None:
    with shops.shop(base="/onsale") as shop:
        for number, user in enumerate(users(tmp_path, shop.url, environment)):
            user.number = number  # type: ignore[attr-defined]
            user.client.get("/nowhere", name="gone")  # type: ignore[attr-defined]
            user.client.get("/healthz", name="front")  # type: ignore[attr-defined]
            getattr(user.client, "client", user.client).close()  # type: ignore[attr-defined]
    found = [(row.user, row.kind, row.step, row.status, row.outcome, row.error) for row in rows(recorder)]
    assert found[0] == (0, "locust", "gone", 404, "fail", "status")
    assert found[2] == (1, "locust", "gone", 404, "fail", "status")
    assert [row.seq for row in rows(recorder)] == [0, 1, 2, 3]
    assert all(row.t_start_s <= row.t_end_s for row in rows(recorder))


@pytest.mark.usefixtures("crashes")
def test_a_refused_connection_is_known_not_to_have_happened(
    tmp_path: Path, environment: Environment, recorder: Recorder
) -> None:
    [user, _] = users(tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}", environment)
    user.client.get("/", name="front")  # type: ignore[attr-defined]
    assert [(row.status, row.outcome, row.error) for row in rows(recorder)] == [(0, "fail", "refused")]


def test_a_user_whose_tasks_raise_crashed_once(tmp_path: Path, environment: Environment, crashes: CrashLog) -> None:
    [user, _] = users(tmp_path, "http://127.0.0.1:1", environment)
    for _ in range(3):
        environment.events.user_error.fire(user_instance=user, exception=KeyError("id"), tb=None)
    assert [(crash.kind, crash.count) for crash in crashes.summary()] == [("locust", 1)]


def test_no_host_is_found_that_is_not_allowed() -> None:
    hub = gevent.get_hub()
    before = hub.resolver
    try:
        AllowedHosts(allowed_hosts(Addresses(booking="http://192.0.2.1:80", feeds=(), event="")))
        assert hub.resolver.getaddrinfo("127.0.0.1", 80)
        assert hub.resolver.getaddrinfo("192.0.2.1", 80)
        for elsewhere in ("192.0.2.2", "example.com", b"example.com"):
            with pytest.raises(socket.gaierror, match="not allowed"):
                hub.resolver.getaddrinfo(elsewhere, 80)
    finally:
        hub.resolver = before

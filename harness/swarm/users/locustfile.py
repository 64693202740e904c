"""The users of a locustfile that somebody already has: released at T0 like all others, each request a row.

They run as Locust runs them: `on_start`, tasks, `wait_time`, to the end of the run. They use no adapter, so the record
has no operation of theirs, and nothing that they did can be audited. What is theirs alone: they wait at the barrier
before `on_start`, their host is the platform's, and they reach no host that is not allowed.
"""

from __future__ import annotations

import socket
import ssl
import types
from collections.abc import Collection, Iterator, Mapping
from time import monotonic, time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import gevent
from locust import User
from locust.env import Environment

from harness.errors import InputError
from harness.hosts import is_loopback
from harness.record.schema import LOCUST_KIND, Outcome
from harness.scenario.environment import headers_of
from harness.stack import Addresses
from harness.stack.allowed import host_of, reached
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow
from harness.swarm.users.arrivals import AT_T0, Arrival, arrival_of
from harness.swarm.users.crashes import CrashLog
from harness.swarm.users.loader import load_module
from harness.swarm.users.user import ARMED, ARMING, DONE, WorkerContext

RUNNING: Final = "running"
_USER_KEY: Final = "gatecrash_user"
"""Under this key the context of a request event says which user sent it."""
_NOBODY: Final = -1
_OURS: Final = "settle"  # a step of ours, which theirs must not be mistaken for
_CAUSES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLError, "tls"),
    (socket.gaierror, "dns"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (TimeoutError, "timeout"),
)
_NAMED: Final = (("Timeout", "timeout"), ("RemoteDisconnected", "reset"), ("NameResolution", "dns"), ("SSL", "tls"))
_UNKNOWN: Final = frozenset({"reset", "timeout", "protocol"})
"""Errors after which nobody knows whether the platform did what it was asked."""

if TYPE_CHECKING:
    _Base = User
else:
    _Base = object


class ReleasedUser(_Base):
    """What is put before a class of the locustfile: it waits for the release before anything of that class runs."""

    kind: ClassVar[str] = LOCUST_KIND
    worker_context: ClassVar[WorkerContext]
    follows_to_the_end: ClassVar[bool] = False
    arrival: Arrival = AT_T0
    first_send_s: float | None = None
    """When it was let go: a locustfile may begin with a pause, which is no lateness of the release."""
    crashed = False
    number = _NOBODY
    _step = ""

    def on_start(self) -> None:
        """Wait for the release, then start as the class itself does."""
        context = self.worker_context
        self.at(ARMING)
        self.number = context.barrier.user_of(self.kind)
        self.arrival = arrival_of(context.scenario, self.number)
        _send_headers(self, context.extra_headers)
        context.barrier.arm(None)
        self.at(ARMED)
        self._await(context.barrier.wait())
        self.first_send_s = monotonic()
        context.released.append(self)
        self.at(RUNNING)
        super().on_start()

    def on_stop(self) -> None:
        """Stop as the class itself does."""
        super().on_stop()  # type: ignore[no-untyped-call]
        self.at(DONE)

    def context(self) -> dict[str, object]:
        """That of the class itself, and who it is."""
        return {**super().context(), _USER_KEY: self.number}

    def at(self, step: str) -> None:
        """Count this user under that step from now on."""
        counts = self.worker_context.users_by_step
        if self._step:
            counts[self._step] -= 1
        counts[step] += 1
        self._step = step

    def _await(self, t0: ReleaseInstant) -> None:
        after_s = self.arrival.after_s
        if after_s and self.arrival.together:
            self.worker_context.waves.wait(t0.monotonic_s + after_s, None)
        elif after_s:
            gevent.sleep(max(0.0, t0.monotonic_s + after_s - monotonic()))


def users_of(file: str, host: str) -> list[type[User]]:
    """The user classes of a locustfile, made to wait for the release and to use that host. Raises `InputError`."""
    found = [one for one in vars(load_module(file)).values() if _is_user_class(one)]
    if not found:
        raise InputError("has no user class with tasks", file=file, hint="e.g. class Fan(HttpUser) with an @task")
    for one in found:
        if hasattr(one, "worker_context") or hasattr(one, "kind"):
            hint = "give it as journeys.fan: FILE:CLASS"
            raise InputError(f"{one.__name__} is a journey of gatecrash, no user of Locust's own", file=file, hint=hint)
    all_fixed = all(one.fixed_count for one in found)  # the scenario says how many come: then it is their share of them
    return [_released(one, host, all_fixed=all_fixed) for one in found]


def record_requests(environment: Environment, recorder: Recorder, crashes: CrashLog) -> None:
    """From now on every request event of Locust's is a row, and every exception of a task is a crash of that user."""

    def on_request(
        request_type: str,
        name: str,
        response_time: float,
        response_length: int,
        exception: BaseException | None = None,
        context: Mapping[str, object] | None = None,
        response: object = None,
        start_time: float | None = None,
        **_: object,
    ) -> None:
        number = (context or {}).get(_USER_KEY)
        user = number if isinstance(number, int) else _NOBODY
        now_s, took_s = monotonic(), (response_time or 0.0) / 1000.0
        start_s = now_s - took_s if start_time is None else min(start_time + now_s - time(), now_s - took_s)
        status = int(getattr(response, "status_code", 0) or 0)
        error = "" if exception is None else _error(exception, status)
        recorder.request(
            RequestRow(
                seq=recorder.next_seq(),
                user=user,
                kind=LOCUST_KIND,
                actor="" if user < 0 else f"{LOCUST_KIND}-{user:06d}",
                step=f"{name} (theirs)" if name == _OURS else str(name),
                page="",
                method=str(request_type),
                t_intended_s=start_s,
                t_start_s=start_s,
                t_first_byte_s=None,
                t_end_s=start_s + took_s,
                status=status,
                outcome=(Outcome.UNKNOWN if error in _UNKNOWN else Outcome.FAIL if error else Outcome.OK).value,
                error=error,
                response_bytes=int(response_length or 0),
                attempt=1,
                op=None,
            )
        )

    def on_user_error(user_instance: object, exception: BaseException, **_: object) -> None:
        user = getattr(user_instance, "user", user_instance)  # Locust names the task set where there is one
        if isinstance(user, ReleasedUser) and not user.crashed:
            user.crashed = True
            crashes.note(exception, kind=LOCUST_KIND, step=user._step)

    environment.events.request.add_listener(on_request)  # type: ignore[no-untyped-call]
    environment.events.user_error.add_listener(on_user_error)  # type: ignore[no-untyped-call]


class AllowedHosts:
    """The resolver of this process, which finds no host but this machine's and those of the platform.

    A locustfile may name any address; load must not leave what was allowed.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        hub = gevent.get_hub()
        self._resolver: Any = hub.resolver
        self._allowed = frozenset(allowed)
        hub.resolver = self

    def getaddrinfo(self, host: str | bytes | None, *arguments: object, **named: object) -> object:
        """As the resolver has it. Raises `socket.gaierror` for a host that is not allowed."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name and name not in self._allowed and not is_loopback(name):
            raise socket.gaierror(socket.EAI_FAIL, f"{name} is not on this machine and not allowed")
        return self._resolver.getaddrinfo(host, *arguments, **named)

    def __getattr__(self, name: str) -> object:
        return getattr(self._resolver, name)


def allowed_hosts(addresses: Addresses) -> set[str]:
    """The hosts that users of a locustfile may reach."""
    own = addresses.own.hosts if addresses.own else ()
    return {host_of(address) for address in reached(addresses)} | set(own)


def extra_headers(addresses: Addresses) -> dict[str, str]:
    """What the scenario sends with every request. Raises `InputError`."""
    return headers_of(addresses.own.headers) if addresses.own else {}


def _is_user_class(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, User) and one.abstract is False


def _released(one: type[User], host: str, *, all_fixed: bool) -> type[User]:
    share = {"weight": one.fixed_count, "fixed_count": 0} if all_fixed else {}
    given = {"__module__": one.__module__, "abstract": False, "host": host, **share}
    return types.new_class(one.__name__, (ReleasedUser, one), exec_body=lambda space: space.update(given))


def _send_headers(user: object, headers: Mapping[str, str]) -> None:
    """With every request of the two clients that Locust has."""
    client = getattr(user, "client", None)
    known = getattr(client, "headers", None) or getattr(getattr(client, "client", None), "default_headers", None)
    if known is not None:
        known.update(headers)


def _error(exception: BaseException, status: int) -> str:
    """One of the record's words for it."""
    if status:
        return "status"
    for cause in _chain(exception):
        for kind, word in _CAUSES:
            if isinstance(cause, kind):
                return word
        for part, word in _NAMED:
            if part in type(cause).__name__:
                return word
    return "protocol"


def _chain(exception: BaseException) -> Iterator[BaseException]:
    """The exception and what caused it, in whatever way its library keeps that."""
    found: list[object] = [exception]
    seen: set[int] = set()
    while found:
        one = found.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            found += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]

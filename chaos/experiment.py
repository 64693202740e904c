"""An experiment file, parsed once into a frozen `Experiment`: what to break, how to prove it, what to expect.

    name: redis-down
    hypothesis: Nobody loses a place in line while Redis refuses connections.
    component: redis
    kind: refuse
    length_s: 4
    faults:       [{action: disable, proxy: redis}]
    canaries:     [{probe: redis, proxy: redis, effective: refused}]
    steady_state: [{name: …, metric: …, compare: equals, value: 0}]      # before the fault, or it is not injected
    guards:       [{name: …, metric: …, compare: at_most, value: 500}]   # while it is in force, or it is healed at once
    expectations: [...]

Expectations are a small closed language, evaluated from the record alone by `chaos.expectations`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from chaos.proxy.toxics import TOXICS
from harness.errors import InputError
from harness.record.schema import ERRORS, EVENT_KINDS, STEPS, Outcome
from harness.yaml_file import YamlFile, suggest

FOLDER: Final = Path(__file__).parent / "experiments"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_PROOF_S: Final = {"slow": 0.5, "hung": 1.5, "unanswered": 1.5, "stale": 1.5}
"""How much longer than its effect a window must be for the canary to see it."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts: frozen, and an unknown key is refused."""


class Disable(_Part, frozen=True, kw_only=True, tag_field="action", tag="disable"):
    """The proxy refuses new connections and closes those that are open."""

    proxy: str


class AddToxic(_Part, frozen=True, kw_only=True, tag_field="action", tag="toxic"):
    """The proxy gets a toxic; see chaos/proxy/toxics for the types and their attributes."""

    proxy: str
    type: str
    stream: Literal["upstream", "downstream"] = "downstream"
    attributes: dict[str, int] = {}
    toxicity: float = 1.0


class Drop(_Part, frozen=True, kw_only=True, tag_field="action", tag="drop"):
    """The proxy cuts a share of its open connections at each of these points of the window (0 start, 1 end)."""

    proxy: str
    percent: float
    mode: Literal["rst", "fin"] = "rst"
    at_ratio: tuple[float, ...] = (0.0,)


class Kill(_Part, frozen=True, kw_only=True, tag_field="action", tag="kill"):
    """The process gets SIGKILL; healing starts it again."""

    process: str


class Pause(_Part, frozen=True, kw_only=True, tag_field="action", tag="pause"):
    """The process and all below it are stopped by SIGSTOP; healing lets them go on."""

    process: str


class Disconnect(_Part, frozen=True, kw_only=True, tag_field="action", tag="disconnect"):
    """The container of the process is taken off its networks, its memory intact; healing puts it back."""

    process: str


class PauseReplay(_Part, frozen=True, kw_only=True, tag_field="action", tag="pause_replay"):
    """The replica receives what the primary writes and shows none of it."""

    server: str


class CutReplication(_Part, frozen=True, kw_only=True, tag_field="action", tag="cut_replication"):
    """The replica is told to follow nobody."""

    server: str


Fault: TypeAlias = Disable | AddToxic | Drop | Kill | Pause | Disconnect | PauseReplay | CutReplication
ON_PROXIES: Final = (Disable, AddToxic, Drop)
ON_PROCESSES: Final = (Kill, Pause, Disconnect)


def place_of(fault: Fault) -> str:
    """The name of what it breaks: a proxy, a process or a database server."""
    match fault:
        case Disable() | AddToxic() | Drop():
            return fault.proxy
        case Kill() | Pause() | Disconnect():
            return fault.process
        case PauseReplay() | CutReplication():
            return fault.server


Site: TypeAlias = tuple[Literal["proxy", "process", "server"], str]
"""Where a canary probes: what it is, and its name."""


class CanarySpec(_Part, frozen=True, kw_only=True):
    """The probe that proves a fault: through a `proxy`, at a `process` past every proxy, or on a database `server`.

    `effective` is what it must see: `refused` (no connection, or a cut one), `hung` (a connection, and no answer),
    `unanswered` (either: a host that is gone refuses in one place and hangs in another), `slow` (an answer that takes
    at least `slow_ms_min`), `dropped` (some of the `sockets` it holds open are cut),
    `stale` (what was just written to the primary is not on the replica `server`). `path` may hold {event}.
    `watches`: the process or server whose fault it proves, when that is not where it probes.
    """

    probe: Literal["redis", "postgres", "http", "websocket", "tcp", "replica"]
    proxy: str = ""
    process: str = ""
    server: str = ""
    watches: str = ""
    effective: Literal["refused", "hung", "unanswered", "slow", "dropped", "stale"]
    slow_ms_min: int = 0
    path: str = "/healthz"
    sockets: int = 12

    @property
    def place(self) -> str:
        """Where it probes."""
        return self.proxy or self.process or self.server

    @property
    def site(self) -> Site:
        """What `place` is, and its name: a process and the server that runs in it may be called the same."""
        return "proxy" if self.proxy else "process" if self.process else "server", self.place

    @property
    def proves(self) -> str:
        """What it watches."""
        return self.watches or self.place


class Guard(_Part, frozen=True, kw_only=True):
    """What must be true of a metric of the platform, read while the run goes on, in every matching series.

    As `steady_state` it must be true before anything is broken. As one of the `guards` it ends the experiment, healed,
    when it has been false for `for_s`. `metric` may also be load_p99_ms or load_rps, as the load generator sees them.
    """

    name: str
    metric: str
    labels: dict[str, str] = {}
    compare: Literal["equals", "at_least", "at_most"]
    value: float
    for_s: float = 1.0


class _Expectation(_Part, frozen=True, kw_only=True):
    """Base of the expectations. `name` is what the report prints."""

    name: str


class MetricReaches(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="metric"):
    """A gauge reaches a value within a time of the fault being effective, or healed.

    `across`: it is enough that `any` matching series reaches it, or `all` must.
    """

    metric: str
    labels: dict[str, str] = {}
    compare: Literal["equals", "at_least", "at_most"] = "equals"
    value: float
    within_s: float
    of: Literal["effective", "heal"]
    across: Literal["any", "all"] = "any"


class CounterIncreases(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="increases"):
    """A counter, summed over its matching series, grows between effective and `grace_s` after the heal command.

    `needs_step`: it can only grow when somebody takes this step meanwhile; when nobody does, nothing is judged.
    """

    metric: str
    labels: dict[str, str] = {}
    by_at_least: float = 1.0
    grace_s: float = 1.0
    needs_step: str = ""


class ResponseTime(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="response_time"):
    """A quantile of a step's response times, over what users meant to send while the fault was effective."""

    step: str
    quantile: float
    at_most_ms: float
    samples_min: int = 10


class RequestShare(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="requests"):
    """The share of a step's requests, sent while the fault was effective, that end with one of these statuses, outcomes
    or errors (those given must all match; an empty list matches any)."""

    step: str
    status: tuple[int, ...] = ()
    outcome: tuple[Outcome, ...] = ()
    error: tuple[str, ...] = ()
    at_least: float = 0.0
    at_most: float = 1.0
    samples_min: int = 5


class StreamEvents(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="events"):
    """So many events of a kind arrive on a stream between effective and `grace_s` after the heal command."""

    stream: Literal["positions", "feed"]
    event: str
    at_least: int = 1
    grace_s: float = 1.0


class Reconnects(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="reconnects"):
    """Of the clients that a fault cut off a stream, this share is connected again within a time."""

    stream: Literal["positions", "feed"]
    within_s: float
    share_at_least: float = 1.0


class NoGap(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="no_gap"):
    """From the fault until `grace_s` after the heal command, no feed client misses a sequence number unsaid."""

    grace_s: float = 5.0


class Recovers(_Expectation, frozen=True, kw_only=True, tag_field="check", tag="recovers"):
    """From `within_s` after the heal command on, a step is as it was before the fault: its share of ok requests at most
    `share_drop_at_most` lower, its median response time at most `slower_at_most` times as long (and `slack_ms`)."""

    step: str
    within_s: float
    share_drop_at_most: float = 0.05
    slower_at_most: float = 3.0
    slack_ms: float = 100.0
    samples_min: int = 5


Expectation: TypeAlias = (
    MetricReaches | CounterIncreases | ResponseTime | RequestShare | StreamEvents | Reconnects | NoGap | Recovers
)


class Experiment(_Part, frozen=True, kw_only=True):
    """One experiment, whole. `length_s` is how long the fault stays unless a scenario says otherwise."""

    name: str
    hypothesis: str
    component: str
    kind: str
    runbook: str = ""
    length_s: float
    faults: tuple[Fault, ...]
    canaries: tuple[CanarySpec, ...]
    steady_state: tuple[Guard, ...] = ()
    guards: tuple[Guard, ...] = ()
    expectations: tuple[Expectation, ...] = ()

    @property
    def proxies(self) -> frozenset[str]:
        """The proxies that it breaks, or that a canary needs."""
        broken = {fault.proxy for fault in self.faults if isinstance(fault, ON_PROXIES)}
        return frozenset(broken | {canary.proxy for canary in self.canaries if canary.proxy})

    @property
    def places(self) -> frozenset[str]:
        """The proxies, processes and servers that it breaks or looks at: nobody else may break them meanwhile."""
        return self.proxies | {place_of(fault) for fault in self.faults}

    @property
    def needs_levers(self) -> bool:
        """Whether it takes more than a fault proxy."""
        on_proxies = all(isinstance(fault, ON_PROXIES) for fault in self.faults)
        return not on_proxies or any(canary.process or canary.server for canary in self.canaries)

    @property
    def needs_containers(self) -> bool:
        """Whether only a stack of containers can carry it."""
        return any(isinstance(fault, Disconnect) for fault in self.faults)

    @property
    def shortest_s(self) -> float:
        """The shortest window in which its canaries can prove it: an answer that takes 8 s needs 8 s to be seen."""
        needed_s = (_PROOF_S.get(canary.effective, 0.0) + canary.slow_ms_min / 1000 for canary in self.canaries)
        return max(needed_s, default=0.0)


def names() -> list[str]:
    """The experiments that come with gatecrash."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def shipped(*, containers: bool) -> list[Experiment]:
    """Those that come with gatecrash and that a stack can carry; `containers`: its parts run in containers."""
    every = [load(name) for name in names()]
    return [one for one in every if containers or not one.needs_containers]


def load(name_or_path: str | Path) -> Experiment:
    """One of `names()`, or a file of the user's own. Raises InputError."""
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return _read(Path(text))
    if text not in names():
        raise InputError(f"no experiment is called {text!r}", hint=suggest(text, names()))
    return _read(FOLDER / f"{text}.yaml")


def _read(path: Path) -> Experiment:
    file = YamlFile(path)
    experiment = file.decode(Experiment)
    if not _NAME.fullmatch(experiment.name):
        raise file.error("expected lower-case letters, digits and dashes", "name")
    if experiment.length_s <= 0:
        raise file.error("expected a time above 0 s", "length_s")
    _check_faults(experiment, file)
    _check_canaries(experiment, file)
    if experiment.length_s < experiment.shortest_s:
        raise file.error(
            f"the canary needs at least {experiment.shortest_s:g} s to prove this", "length_s", hint="lengthen it"
        )
    for section, guards in (("steady_state", experiment.steady_state), ("guards", experiment.guards)):
        for at, guard in enumerate(guards):
            if guard.for_s < 0:
                raise file.error("must not be negative", section, at, "for_s")
    for at, expectation in enumerate(experiment.expectations):
        _check_expectation(expectation, file, at)
    return experiment


def _check_faults(experiment: Experiment, file: YamlFile) -> None:
    if not experiment.faults:
        raise file.error("an experiment that breaks nothing proves nothing", "faults")
    watched = {canary.proves for canary in experiment.canaries}
    for at, fault in enumerate(experiment.faults):
        place = place_of(fault)
        key = "proxy" if isinstance(fault, ON_PROXIES) else "process" if isinstance(fault, ON_PROCESSES) else "server"
        if place not in watched:
            hint = f"add {{{key}: {place}, …}} to canaries"
            raise file.error(f"no canary watches the {key} {place!r}", "faults", at, key, hint=hint)
        if isinstance(fault, AddToxic):
            _check_toxic(fault, file, at)
        if isinstance(fault, Drop):
            _check_drop(fault, file, at)


def _check_toxic(fault: AddToxic, file: YamlFile, at: int) -> None:
    stage = TOXICS.get(fault.type)
    if stage is None:
        raise file.error(f"cannot be {fault.type!r}", "faults", at, "type", hint=f"one of {', '.join(sorted(TOXICS))}")
    if not 0 < fault.toxicity <= 1:
        raise file.error("expected a share above 0 and up to 1", "faults", at, "toxicity")
    known = stage.attributes_type.__struct_fields__
    for key, value in fault.attributes.items():
        if key not in known:
            hint = f"{fault.type} has {', '.join(known) or 'no attributes'}"
            raise file.error("unknown key", "faults", at, "attributes", key, hint=hint)
        if value < 0:
            raise file.error("must not be negative", "faults", at, "attributes", key)
    if problem := msgspec.convert(fault.attributes, stage.attributes_type).problem():
        raise file.error(problem, "faults", at, "attributes")


def _check_drop(fault: Drop, file: YamlFile, at: int) -> None:
    if not 0 < fault.percent <= 100:
        raise file.error("expected a percentage above 0 and up to 100", "faults", at, "percent")
    if not fault.at_ratio or not all(0 <= ratio < 1 for ratio in fault.at_ratio):
        raise file.error("expected points of the window, from 0 to below 1", "faults", at, "at_ratio")


def _check_canaries(experiment: Experiment, file: YamlFile) -> None:
    dropping = {fault.proxy for fault in experiment.faults if isinstance(fault, Drop)}
    broken = {place_of(fault) for fault in experiment.faults}
    for at, canary in enumerate(experiment.canaries):
        places = [key for key in ("proxy", "process", "server") if getattr(canary, key)]
        if len(places) != 1:
            raise file.error("expected one of proxy, process and server", "canaries", at)
        if canary.proves not in broken:
            key = "watches" if canary.watches else places[0]
            what = "proxy" if key == "proxy" else "part"
            raise file.error(f"watches a {what} that no fault breaks", "canaries", at, key)
        if (canary.probe == "replica") != (canary.effective == "stale") or bool(canary.server) != (
            canary.probe == "replica"
        ):
            raise file.error("goes with a server and effective: stale, and with them only", "canaries", at, "probe")
        if (canary.effective == "slow") != (canary.slow_ms_min > 0):
            raise file.error("goes with effective: slow, and with it only", "canaries", at, "slow_ms_min")
        if canary.effective == "dropped" and canary.probe != "websocket":
            raise file.error("held sockets prove a drop, and only they do", "canaries", at, "effective")
        if (canary.effective == "dropped") != (canary.proxy in dropping):
            raise file.error("does not fit the fault on this proxy", "canaries", at, "effective")
        if not 1 <= canary.sockets <= 1000:
            raise file.error("expected 1 to 1000", "canaries", at, "sockets")


def _check_expectation(expectation: Expectation, file: YamlFile, at: int) -> None:
    for message, key, hint in _problems(expectation):
        raise file.error(message, "expectations", at, key, hint=hint)


def _problems(expectation: Expectation) -> Iterator[tuple[str, str, str]]:
    """What is impossible about an expectation: message, key, hint."""
    match expectation:
        case MetricReaches(within_s=within_s) | Reconnects(within_s=within_s) | Recovers(within_s=within_s) if (
            within_s <= 0
        ):
            yield "expected a time above 0 s", "within_s", ""
        case CounterIncreases():
            if expectation.by_at_least <= 0:
                yield "expected a number above 0", "by_at_least", ""
            yield from _known(expectation.needs_step, ("", *STEPS), "needs_step")
        case ResponseTime():
            yield from _known(expectation.step, STEPS, "step")
            if not 0 < expectation.quantile < 1:
                yield "expected a quantile between 0 and 1", "quantile", "0.99 for the p99"
        case RequestShare():
            yield from _share_problems(expectation)
        case StreamEvents():
            yield from _known(expectation.event, EVENT_KINDS, "event")
        case Recovers():
            yield from _known(expectation.step, STEPS, "step")
            if not 0 <= expectation.share_drop_at_most < 1:
                yield "expected a share from 0 to below 1", "share_drop_at_most", ""
            if expectation.slower_at_most < 1:
                yield "expected a factor of 1 or more", "slower_at_most", ""
        case Reconnects() if not 0 < expectation.share_at_least <= 1:
            yield "expected a share above 0 and up to 1", "share_at_least", ""


def _share_problems(expectation: RequestShare) -> Iterator[tuple[str, str, str]]:
    yield from _known(expectation.step, STEPS, "step")
    for error in expectation.error:
        yield from _known(error, ERRORS, "error")
    if not 0 <= expectation.at_least <= expectation.at_most <= 1:
        yield "expected 0 ≤ at_least ≤ at_most ≤ 1", "at_least", ""
    if (expectation.at_least, expectation.at_most) == (0, 1):
        yield "every share would do", "name", "give at_least or at_most"


def _known(value: str, known: Sequence[str], key: str) -> Iterator[tuple[str, str, str]]:
    if value not in known:
        yield f"cannot be {value!r}", key, f"one of {', '.join(filter(None, known))}"

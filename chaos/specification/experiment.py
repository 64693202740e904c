"""An experiment file, parsed once into a frozen `Experiment`: what to break, how to prove it, what to expect.

    name: redis-down
    hypothesis: Nobody loses a place in line while Redis refuses connections.
    component: redis
    kind: refuse
    length_s: 4
    tolerance_s: 1.5                        # may be left out: by how much longer or shorter the fault may be in force
    faults:       [{action: disable, proxy: redis}]
    canaries:     [{probe: redis, proxy: redis, effective: refused}]
    steady_state: [{name: …, metric: …, compare: equals, value: 0}]      # before the fault, or it is not injected
    guards:       [{name: …, metric: …, compare: at_most, value: 500}]   # while it is in force, or it is healed at once
    expectations: [...]
    makes_undecidable: {queue_order: "why nobody can tell after this fault"}

The parts of a file: faults in `chaos.specification.fault`, canaries and guards here, expectations in
`chaos.specification.expected`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from chaos.specification.expected import Expectation, RequestShare, check_expectations
from chaos.specification.fault import ON_PROCESSES, ON_PROXIES, Disconnect, Drop, Fault, check_fault, place_of
from chaos.specification.shares import SOCKETS_MIN, looks_for
from harness.errors import InputError
from harness.registry.invariants import INVARIANTS
from harness.yaml_file import YamlFile, suggest

FOLDER: Final = Path(__file__).parents[1] / "experiments"
GENERIC_NAMES: Final = ("cut", "hang", "latency", "errors", "drop", "stop", "kill")
"""Experiments that are made for an edge or a part, see `chaos.specification.generic`."""
_SERVER_ERRORS: Final = 500
_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:|\s*//")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_PROOF_S: Final = {"slow": 0.5, "hung": 1.5, "unanswered": 1.5, "stale": 1.5}
"""How much longer than its effect a window must be for the canary to see it."""
_SEEN_OF_PROCESSES: Final = ("refused", "hung", "unanswered", "restarted")
_TOLERANCE_MIN_S: Final = 1.5
_TOLERANCE_RATIO: Final = 0.25
_STARTS_WITHIN_S: Final = 10.0
"""A part that was killed is back when it has started again, which is the platform's own time."""

FAILING_PERIOD_S: Final = 0.05
"""How often a canary probes that must tell a share of failing connections."""

Probe: TypeAlias = Literal["redis", "postgres", "http", "websocket", "tcp", "replica", "process"]
Effect: TypeAlias = Literal["refused", "hung", "unanswered", "slow", "failing", "dropped", "stale", "restarted"]
Site: TypeAlias = tuple[Literal["proxy", "process", "server", "state"], str]
"""Where a canary probes: what it is, and its name."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts: frozen, and an unknown key is refused."""


class CanarySpec(_Part, frozen=True, kw_only=True):
    """The probe that proves a fault: through a `proxy`, at a `process` past every proxy, or on a database `server`.

    `effective` is the state that it must see: `refused` (no connection, or a cut one), `hung` (a connection, and no
    answer), `unanswered` (one of the two: a host that is gone refuses on some networks and hangs on others), `slow` (an
    answer that takes at least `slow_ms_min`), `failing` (about `percent` of its connections are cut), `dropped` (some
    of the `sockets` it holds open are cut), `stale` (what was just written to the primary is not on the replica
    `server`), `restarted` (the process ends, and its supervisor starts another). `path` may hold {event}. `probe:
    process`: the state of the process itself, by the system or the container's engine. `watches`: the process or server
    whose fault it proves, when it probes another place.
    """

    probe: Probe
    proxy: str = ""
    process: str = ""
    server: str = ""
    watches: str = ""
    effective: Effect
    slow_ms_min: int = 0
    percent: float = 0.0
    path: str = "/healthz"
    sockets: int = SOCKETS_MIN

    @property
    def place(self) -> str:
        """Where it probes."""
        return self.proxy or self.process or self.server

    @property
    def site(self) -> Site:
        """The kind of `place`, and its name: a process and the server that runs in it may have the same name."""
        if self.looks_at_process:
            return "state", self.place
        return "proxy" if self.proxy else "process" if self.process else "server", self.place

    @property
    def looks_at_process(self) -> bool:
        """Whether it looks at the process itself, and not only at its address."""
        return self.probe == "process" or self.effective == "restarted"

    @property
    def blind_s(self) -> float:
        """By how much a window must be longer than the effect for the canary to see it."""
        if self.effective == "failing":
            return looks_for(self.percent) * FAILING_PERIOD_S
        return _PROOF_S.get(self.effective, 0.0)

    @property
    def proves(self) -> str:
        """The kind and the name of the component whose fault the canary proves."""
        return self.watches or self.place


class Guard(_Part, frozen=True, kw_only=True):
    """A condition on a metric of the platform, read during the run; every matching series must meet it.

    As `steady_state` it must hold before the first fault. As one of the `guards` it ends and heals the experiment when
    it has been false for `for_s`. `metric` may also be load_p99_ms or load_rps, as the load generator sees them.
    """

    name: str
    metric: str
    labels: dict[str, str] = {}
    compare: Literal["equals", "at_least", "at_most"]
    value: float
    for_s: float = 1.0


class Experiment(_Part, frozen=True, kw_only=True):
    """One experiment. `length_s`: how long the fault stays unless a scenario says otherwise.

    `makes_undecidable`: invariants that cannot be decided after this fault → why. When one of them is undecided, the
    report says so and the grade is at best B; an undecided invariant that is not listed means NO VERDICT.
    `tolerance_s`: by how much longer or shorter the fault may be in force; null: see `Experiment.tolerates_s`.
    """

    name: str
    hypothesis: str
    component: str
    kind: str
    runbook: str = ""
    length_s: float
    tolerance_s: float | None = None
    faults: tuple[Fault, ...]
    canaries: tuple[CanarySpec, ...]
    steady_state: tuple[Guard, ...] = ()
    guards: tuple[Guard, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    makes_undecidable: dict[str, str] = {}

    @property
    def proxies(self) -> frozenset[str]:
        """The proxies that the experiment breaks or that a canary needs."""
        broken = {fault.proxy for fault in self.faults if isinstance(fault, ON_PROXIES)}
        return frozenset(broken | {canary.proxy for canary in self.canaries if canary.proxy})

    @property
    def places(self) -> frozenset[str]:
        """The proxies, processes and servers that the experiment breaks or probes; no other may break them at that
        time.
        """
        return self.proxies | {place_of(fault) for fault in self.faults}

    @property
    def needs_stack_control(self) -> bool:
        """Whether the experiment needs more than a fault proxy."""
        on_proxies = all(isinstance(fault, ON_PROXIES) for fault in self.faults)
        return not on_proxies or any(canary.process or canary.server for canary in self.canaries)

    @property
    def needs_containers(self) -> bool:
        """Whether only a stack of containers can carry out the experiment."""
        return any(isinstance(fault, Disconnect) for fault in self.faults)

    def tolerates_s(self, asked_s: float) -> float:
        """By how much longer or shorter than `asked_s` its faults may be in force and still be proven as asked.

        Unless the file says it: the time by which an action may be late, and the time that canaries are blind or a
        killed process needs to start.
        """
        if self.tolerance_s is not None:
            return self.tolerance_s
        blind_s = max((canary.blind_s for canary in self.canaries), default=0.0)
        starts_s = _STARTS_WITHIN_S if any(isinstance(fault, ON_PROCESSES) for fault in self.faults) else 0.0
        return self.may_be_late_s(asked_s) + max(blind_s, starts_s)

    def may_be_late_s(self, asked_s: float) -> float:
        """By how much later than planned we may inject or heal a fault of `asked_s`: a quarter, at least 1.5 s."""
        return self.tolerance_s or max(_TOLERANCE_MIN_S, _TOLERANCE_RATIO * asked_s)

    @property
    def shortest_s(self) -> float:
        """The shortest window in which the canaries can prove the fault: an answer after 8 s takes 8 s to be seen."""
        needed_s = (canary.blind_s + canary.slow_ms_min / 1000 for canary in self.canaries)
        return max(needed_s, default=0.0)

    @property
    def refuses_holds(self) -> bool:
        """Whether new holds are expected to be refused, so that a trial hold takes no seat from a fan."""
        return any(
            isinstance(one, RequestShare) and one.step == "hold" and one.at_least > 0 and _are_refusals(one.status)
            for one in self.expectations
        )


def _are_refusals(statuses: tuple[int, ...]) -> bool:
    return bool(statuses) and all(status >= _SERVER_ERRORS for status in statuses)


def names() -> list[str]:
    """The experiments that come with gatecrash."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def shipped(*, containers: bool) -> list[Experiment]:
    """The shipped experiments that a stack can carry out; `containers`: its parts run in containers."""
    return [one for one in _shipped() if containers or not one.needs_containers]


@cache
def _shipped() -> tuple[Experiment, ...]:
    return tuple(_read(FOLDER / f"{name}.yaml") for name in names())


def load(name_or_path: str | Path) -> Experiment:
    """Load one of `names()`, or the user's file. Raises InputError."""
    text = str(name_or_path)
    if is_path(text):
        return _read(Path(text))
    if text in GENERIC_NAMES:
        hint = f"plan it in a scenario with platform:, or see `gatecrash experiment show {text}`"
        raise InputError(f"{text} breaks an edge or a part of a platform of your own", hint=hint)
    if text not in names():
        raise InputError(f"no experiment is called {text!r}", hint=suggest(text, names()))
    return _read(FOLDER / f"{text}.yaml")


def is_path(name: str) -> bool:
    """Whether an experiment is given as a file, not by name."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def _read(path: Path) -> Experiment:
    file = YamlFile(path)
    experiment = file.decode(Experiment)
    if not _NAME.fullmatch(experiment.name):
        raise file.error("expected lower-case letters, digits and dashes", "name")
    if _SCHEME.match(experiment.runbook) and not experiment.runbook.startswith(("http://", "https://")):
        raise file.error("expected a file or an http address", "runbook", hint="the report links to it")
    if experiment.length_s <= 0:
        raise file.error("expected a time above 0 s", "length_s")
    if experiment.tolerance_s is not None and experiment.tolerance_s <= 0:
        raise file.error("expected a time above 0 s", "tolerance_s")
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
    check_expectations(experiment.expectations, file)
    _check_undecidable(experiment, file)
    return experiment


def _check_undecidable(experiment: Experiment, file: YamlFile) -> None:
    for name, why in experiment.makes_undecidable.items():
        if name not in INVARIANTS:
            hint = suggest(name, tuple(INVARIANTS))
            raise file.error(f"no invariant is called {name!r}", "makes_undecidable", name, hint=hint)
        if not why.strip():
            hint = "say what the fault takes away that would be needed to decide it"
            raise file.error("expected the reason", "makes_undecidable", name, hint=hint)


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
        check_fault(fault, file, at)


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
        if (canary.effective == "failing") != (0 < canary.percent < 100):
            hint = "a percentage above 0 and below 100"
            raise file.error("goes with effective: failing, and with it only", "canaries", at, "percent", hint=hint)
        if canary.looks_at_process and not canary.process:
            raise file.error("looks at a process, and at nothing else", "canaries", at, "probe")
        if canary.probe == "process" and canary.effective not in _SEEN_OF_PROCESSES:
            hint = f"one of {', '.join(_SEEN_OF_PROCESSES)}"
            raise file.error("cannot be seen of a process", "canaries", at, "effective", hint=hint)
        if (canary.effective == "dropped") != (canary.proxy in dropping):
            raise file.error("does not fit the fault on this proxy", "canaries", at, "effective")
        if not 1 <= canary.sockets <= 1000:
            raise file.error("expected 1 to 1000", "canaries", at, "sockets")

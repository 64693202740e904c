"""The generic experiments, which break an edge or a part of a platform of the user's own. Pure.

A scenario plans one with `{experiment: latency, edge: payments, ms: 8000, start_s: 20}`. `experiment_for` makes a whole
`Experiment` of that: its faults, the canary that proves them, and expectations about the fans' side alone. When the
probe of a canary cannot see the fault, the plan is refused before anything starts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Final, Literal, Protocol

import msgspec

from chaos.specification.expected import BUYING, OTHER_VERBS, Expectation, Reconnects, VerbsAnswered, VerbsRecover
from chaos.specification.experiment import CanarySpec, Effect, Experiment, Probe
from chaos.specification.fault import ON_PROXIES, AddToxic, Disable, Drop, Fault, Kill, Pause, place_of
from chaos.specification.shares import SOCKETS_MAX, SOCKETS_MIN, sockets_for
from harness.errors import InputError
from harness.yaml_file import suggest

_RUNBOOK: Final = "docs/runbooks.md"
_TWICE: Final = (0.0, 0.5)
"""A drop is done at the start of its window and again in the middle."""
_SLOW_RATIO: Final = 0.9875
"""How much of the latency that was asked for a canary must see: 7,900 of 8,000 ms."""
_RECONNECT_S: Final = 5.0

EdgeProbe = Literal["tcp", "http", "redis", "postgres", "websocket"]
_TALKING: Final = frozenset({"http", "redis", "postgres", "websocket"})
"""Probes that wait for an answer. A TCP connection is accepted whether or not anybody answers on it."""


class PlannedFault(Protocol):
    """A fault of a scenario; `harness.scenario.PlannedFault` is one."""

    @property
    def experiment(self) -> str: ...  # noqa: D102
    @property
    def length_s(self) -> float | None: ...  # noqa: D102
    @property
    def edge(self) -> str: ...  # noqa: D102
    @property
    def part(self) -> str: ...  # noqa: D102
    @property
    def ms(self) -> int | None: ...  # noqa: D102
    @property
    def percent(self) -> float | None: ...  # noqa: D102


class Edge(Protocol):
    """An edge of a scenario's platform; `harness.scenario.Edge` is one."""

    @property
    def probe(self) -> EdgeProbe: ...  # noqa: D102
    @property
    def path(self) -> str: ...  # noqa: D102


class Part(Protocol):
    """A part of a scenario's platform; `harness.scenario.Part` is one."""

    @property
    def container(self) -> str: ...  # noqa: D102
    @property
    def address(self) -> str | None: ...  # noqa: D102
    @property
    def probe(self) -> EdgeProbe: ...  # noqa: D102
    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> str: ...  # noqa: D102


class Generic(msgspec.Struct, frozen=True, kw_only=True):
    """A generic experiment. `on`: what it breaks. `needs`: the figure that it takes besides, "" for none.

    `kind`: its name in records. `does`, `seen_by`: for the table of docs/chaos.md. `recovers_s`: seconds after the heal
    from which fans must be served as before.
    """

    name: str
    on: Literal["edge", "part"]
    kind: str
    needs: Literal["", "ms", "percent"] = ""
    does: str
    seen_by: str
    length_s: float
    recovers_s: float = 5.0


_ALL: Final = (
    Generic(
        name="cut",
        on="edge",
        kind="refuse",
        does="refuses connections and closes those that are open",
        seen_by="any probe: refused",
        length_s=4,
    ),
    Generic(
        name="hang",
        on="edge",
        kind="hang",
        does="accepts connections and lets nothing through, both ways; nothing is lost",
        seen_by="http, redis, postgres, websocket: hung",
        length_s=5,
    ),
    Generic(
        name="latency",
        on="edge",
        kind="latency",
        needs="ms",
        does="delays what comes back by `ms`",
        seen_by="http, redis, postgres, websocket: slow",
        length_s=10,
    ),
    Generic(
        name="errors",
        on="edge",
        kind="errors",
        needs="percent",
        does="lets requests through and resets `percent` of the connections when the answer comes",
        seen_by="http, redis, postgres, websocket: failing",
        length_s=5,
    ),
    Generic(
        name="drop",
        on="edge",
        kind="drop",
        needs="percent",
        does="cuts `percent` of the open connections, at the start and in the middle",
        seen_by="connections that are held (websocket, redis, postgres, tcp; http: a stream of events): dropped",
        length_s=4,
    ),
    Generic(
        name="stop",
        on="part",
        kind="stop",
        does="SIGSTOP, or `docker pause`: accepts connections and does not answer",
        seen_by="its address by a probe other than tcp, else the state of the process: hung",
        length_s=5,
    ),
    Generic(
        name="kill",
        on="part",
        kind="kill",
        does="SIGKILL to the process and all below it; then its `start` or its supervisor starts it",
        seen_by="its address, else the state of the process: refused; with a supervisor: restarted",
        length_s=2,
        recovers_s=10,
    ),
)
GENERIC: Final[dict[str, Generic]] = {each.name: each for each in _ALL}


def experiment_for(fault: PlannedFault, edges: Mapping[str, Edge], parts: Mapping[str, Part]) -> Experiment:
    """Make the experiment for a planned generic fault. Raises InputError with the key of the fault."""
    generic = GENERIC[fault.experiment]
    _require_figures(generic, fault)
    place = _place(generic, fault, edges, parts)
    if generic.on == "edge":
        faults, canary = _faults(generic, fault, place), _canary_at_edge(generic, fault, place, edges[place])
    else:
        faults, canary = _faults(generic, fault, place), _canary_at_part(generic, place, parts[place])
    return Experiment(
        name=name_of(generic.name, place),
        hypothesis=f"Once {place} is healed, fans are served as before, and outside the fault little goes unanswered.",
        component=place,
        kind=generic.kind,
        runbook=f"{_RUNBOOK}#{generic.name}",
        length_s=max(generic.length_s, _longest_answer_s(fault)),
        faults=faults,
        canaries=(canary,),
        expectations=_expectations(generic, canary),
    )


def name_of(experiment: str, place: str) -> str:
    """The name in records: cut-db, latency-payments."""
    return f"{experiment}-{re.sub(r'[^a-z0-9]+', '-', place.lower()).strip('-')}"


def require_on_platform(experiment: Experiment, edges: Collection[str], parts: Collection[str]) -> None:
    """Check that an experiment breaks and probes only edges and parts of the platform. Raises InputError."""
    for fault in experiment.faults:
        place = place_of(fault)
        on_proxy = isinstance(fault, ON_PROXIES)
        if place not in (edges if on_proxy else parts):
            what = "edge" if on_proxy else "part"
            raise InputError(
                f"{experiment.name} breaks {place}, which is no {what} of this platform",
                key="experiment",
                hint=f"{_declared(what, edges if on_proxy else parts)}; {_instead(fault, edges, parts)}",
            )
    for canary in experiment.canaries:
        on_edge = bool(canary.proxy)
        if canary.place not in (edges if on_edge else parts):
            what = "edge" if on_edge else "part"
            hint = _declared(what, edges if on_edge else parts)
            raise InputError(
                f"{experiment.name} probes {canary.place}, which is no {what}", key="experiment", hint=hint
            )


def require_own_expectations(experiment: Experiment, edges: Collection[str], parts: Collection[str]) -> None:
    """Refuse, on another platform, experiments that expect metrics of the reference system. Raises InputError."""
    metric = next((one.metric for one in experiment.expectations if hasattr(one, "metric")), "")
    if metric:
        raise InputError(
            f"{experiment.name} expects the reference system's metric {metric}",
            key="experiment",
            hint=_instead(experiment.faults[0], edges, parts),
        )


def _declared(what: str, names: Collection[str]) -> str:
    return f"{what}s: {', '.join(sorted(names))}" if names else f"platform.{what}s has none"


def _instead(fault: Fault, edges: Collection[str], parts: Collection[str]) -> str:
    """The generic experiment that does the same as this fault, as a scenario writes it."""
    name, figure = _generic_of(fault)
    if name in ("stop", "kill"):
        return f"use {{experiment: {name}, part: {min(parts, default='NAME')}}}"
    place = place_of(fault)
    edge = place if place in edges else min(edges, default="NAME")
    return f"use {{experiment: {name}, edge: {edge}{figure}}}"


def _generic_of(fault: Fault) -> tuple[str, str]:
    match fault:
        case AddToxic(type="latency"):
            return "latency", f", ms: {fault.attributes.get('latency', 1000)}"
        case AddToxic(type="reset_peer"):
            return "errors", f", percent: {fault.toxicity * 100:g}"
        case AddToxic():
            return "hang", ""
        case Drop():
            return "drop", f", percent: {fault.percent:g}"
        case Kill():
            return "kill", ""
        case Pause():
            return "stop", ""
        case _:
            return "cut", ""


def _require_figures(generic: Generic, fault: PlannedFault) -> None:
    for key in ("ms", "percent"):
        given = getattr(fault, key) is not None
        if given and key != generic.needs:
            fitting = " and ".join(each.name for each in _ALL if each.needs == key)
            raise InputError(f"{generic.name} takes no {key}", key=key, hint=f"it goes with {fitting}")
        if key == generic.needs and not given:
            example = "ms: 8000" if key == "ms" else "percent: 50"
            raise InputError(f"{generic.name} needs {key}", key="experiment", hint=f"e.g. {example}")


def _place(generic: Generic, fault: PlannedFault, edges: Mapping[str, Edge], parts: Mapping[str, Part]) -> str:
    """The edge or part that the fault breaks. Raises InputError."""
    other: Literal["edge", "part"] = "part" if generic.on == "edge" else "edge"
    known: Collection[str] = edges if generic.on == "edge" else parts
    if getattr(fault, other):
        hint = f"{generic.on}: one of {', '.join(sorted(known))}" if known else f"declare it in platform.{generic.on}s"
        raise InputError(f"{generic.name} breaks {_an(generic.on)}, not {_an(other)}", key=other, hint=hint)
    name: str = getattr(fault, generic.on)
    if not name:
        raise InputError(
            f"{generic.name} does not say which {generic.on} it breaks",
            key="experiment",
            hint=f"add {generic.on}: NAME; {_declared(generic.on, known)}",
        )
    if name not in known:
        hint = suggest(name, list(known)) or f"declare it in platform.{generic.on}s"
        raise InputError(f"the platform has no {generic.on} called {name!r}", key=generic.on, hint=hint)
    return name


def _an(what: str) -> str:
    return f"an {what}" if what == "edge" else f"a {what}"


def _faults(generic: Generic, fault: PlannedFault, place: str) -> tuple[Fault, ...]:
    percent = fault.percent or 0.0
    match generic.name:
        case "cut":
            return (Disable(proxy=place),)
        case "hang":
            return tuple(
                AddToxic(proxy=place, type="bandwidth", stream=stream, attributes={"rate": 0})
                for stream in ("upstream", "downstream")
            )
        case "latency":
            return (AddToxic(proxy=place, type="latency", attributes={"latency": fault.ms or 0}),)
        case "errors":
            return (AddToxic(proxy=place, type="reset_peer", toxicity=percent / 100),)
        case "drop":
            return (Drop(proxy=place, percent=percent, at_ratio=_TWICE),)
        case "stop":
            return (Pause(process=place),)
        case _:
            return (Kill(process=place),)


def _canary_at_edge(generic: Generic, fault: PlannedFault, place: str, edge: Edge) -> CanarySpec:
    probe, path = edge.probe, _path_of(edge.probe, edge.path)
    if generic.name not in ("cut", "drop") and probe not in _TALKING:
        raise InputError(
            f"a tcp probe cannot see {generic.name} at edge {place}: it waits for no answer",
            key="edge",
            hint=f"set platform.edges.{place}.probe to one of {', '.join(sorted(_TALKING))}",
        )
    effect, percent = _effect_at_edge(generic, fault)
    slow_ms = max(1, math.floor((fault.ms or 0) * _SLOW_RATIO)) if effect == "slow" else 0
    sockets = sockets_for(percent, len(_TWICE)) if effect == "dropped" else SOCKETS_MIN
    if sockets > SOCKETS_MAX:
        raise InputError(
            f"a drop of {percent:g} % cannot be proven: its canary would have to hold {sockets:,} connections",
            key="percent",
            hint="2 or more",
        )
    return CanarySpec(
        probe=probe,
        proxy=place,
        effective=effect,
        slow_ms_min=slow_ms,
        path=path,
        percent=percent if effect == "failing" else 0.0,
        sockets=sockets,
    )


def _effect_at_edge(generic: Generic, fault: PlannedFault) -> tuple[Effect, float]:
    """The state that the canary must see, and the percentage of connections that the fault hits."""
    percent = fault.percent or 0.0
    match generic.name:
        case "cut":
            return "refused", 100.0
        case "hang":
            return "hung", 100.0
        case "latency":
            return "slow", 100.0
        case "errors":
            return ("refused" if percent == 100 else "failing"), percent
        case _:
            return "dropped", percent


def _canary_at_part(generic: Generic, place: str, part: Part) -> CanarySpec:
    """A canary at the part's address when that can show the fault, else one that looks at the process itself."""
    probe: Probe = part.probe if part.address else "process"
    if generic.name == "stop":
        probe = probe if probe in _TALKING else "process"
        return CanarySpec(probe=probe, process=place, effective="hung", path=_path_of(probe, part.path))
    supervised = not part.start and not part.container
    effect: Effect = "restarted" if supervised else "refused"
    return CanarySpec(probe=probe, process=place, effective=effect, path=_path_of(probe, part.path))


def _path_of(probe: str, path: str) -> str:
    return path if probe in ("http", "websocket") else "/"


def _longest_answer_s(fault: PlannedFault) -> float:
    """A latency must be in force for a quarter longer than one answer takes; otherwise it cannot be seen."""
    return math.ceil((fault.ms or 0) / 1000 * 1.25)


def _expectations(generic: Generic, canary: CanarySpec) -> tuple[Expectation, ...]:
    """Expectations about the fans' operations: how they end and how long they take; no metric of the platform."""
    within_s = generic.recovers_s
    told: list[Expectation] = [
        VerbsRecover(name="buying works again", verbs=BUYING, within_s=within_s),
        VerbsRecover(name="all else works again", verbs=OTHER_VERBS, within_s=within_s),
        VerbsAnswered(name="little goes unanswered outside the fault", unanswered_at_most=0.05, within_s=within_s),
    ]
    if generic.name == "drop" and canary.probe in ("http", "websocket"):
        told.append(
            Reconnects(name="clients that were cut are back", stream="any", within_s=_RECONNECT_S, share_at_least=0.99)
        )
    return tuple(told)

"""The generic experiments: made for an edge or a part, proven by what its probe can see, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.specification import experiment
from chaos.specification.expected import Reconnects, VerbsAnswered, VerbsRecover
from chaos.specification.experiment import Experiment
from chaos.specification.fault import AddToxic, Disable, Drop, Kill, Pause
from chaos.specification.generic import (
    GENERIC,
    Generic,
    experiment_for,
    name_of,
    require_on_platform,
    require_own_expectations,
)
from chaos.specification.shares import looks_for
from harness.errors import InputError
from harness.scenario import Edge, Part, PlannedFault
from tests.chaos.servers import ROOT

PROBES = ("tcp", "http", "redis", "postgres", "websocket")
EDGES = {
    probe: Edge(listen="127.0.0.1:2", upstream="127.0.0.1:1", probe=probe, path="/live")  # type: ignore[arg-type]
    for probe in PROBES
}
PARTS = {
    "web": Part(pid_file="web.pid", address="127.0.0.1:8000", probe="http", start="./web"),
    "supervised": Part(pid_file="s.pid", address="127.0.0.1:8001", probe="http"),
    "worker": Part(pid_file="worker.pid"),
    "started": Part(pid_file="started.pid", start="./started"),
    "plain": Part(pid_file="plain.pid", address="127.0.0.1:8002"),
    "box": Part(container="shop-web-1"),
}
FIGURES: dict[str, dict[str, object]] = {
    "latency": {"ms": 8000},
    "errors": {"percent": 30},
    "drop": {"percent": 50},
}


def made(name: str, **more: object) -> Experiment:
    figures = {**FIGURES.get(name, {}), **more}
    return experiment_for(PlannedFault(experiment=name, start_s=1, **figures), EDGES, PARTS)  # type: ignore[arg-type]


def refused(name: str, **more: object) -> InputError:
    with pytest.raises(InputError) as caught:
        experiment_for(PlannedFault(experiment=name, start_s=1, **more), EDGES, PARTS)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value


def built_or_refused(fault: PlannedFault) -> Experiment | InputError:
    try:
        return experiment_for(fault, EDGES, PARTS)
    except InputError as error:
        return error


def test_their_names_are_known_everywhere() -> None:
    assert tuple(GENERIC) == experiment.GENERIC_NAMES
    assert not set(GENERIC) & set(experiment.names())


def test_what_they_break_on_an_edge() -> None:
    assert made("cut", edge="redis").faults == (Disable(proxy="redis"),)
    both = [fault.stream for fault in made("hang", edge="redis").faults if isinstance(fault, AddToxic)]
    assert both == ["upstream", "downstream"]
    (slow,) = made("latency", edge="http").faults
    assert slow == AddToxic(proxy="http", type="latency", attributes={"latency": 8000})
    assert made("errors", edge="http").faults == (AddToxic(proxy="http", type="reset_peer", toxicity=0.3),)
    assert made("drop", edge="tcp").faults == (Drop(proxy="tcp", percent=50, at_ratio=(0.0, 0.5)),)


def test_what_they_break_of_a_part() -> None:
    assert made("stop", part="web").faults == (Pause(process="web"),)
    assert made("kill", part="web").faults == (Kill(process="web"),)


@pytest.mark.parametrize(
    ("name", "place", "seen"),
    [
        ("cut", {"edge": "tcp"}, ("tcp", "refused")),
        ("hang", {"edge": "redis"}, ("redis", "hung")),
        ("latency", {"edge": "postgres"}, ("postgres", "slow")),
        ("errors", {"edge": "http"}, ("http", "failing")),
        ("drop", {"edge": "tcp"}, ("tcp", "dropped")),
        ("stop", {"part": "web"}, ("http", "hung")),
        ("stop", {"part": "plain"}, ("process", "hung")),  # a connection is accepted for a process that stands still
        ("stop", {"part": "worker"}, ("process", "hung")),
        ("stop", {"part": "box"}, ("process", "hung")),
        ("kill", {"part": "web"}, ("http", "refused")),
        ("kill", {"part": "supervised"}, ("http", "restarted")),
        ("kill", {"part": "worker"}, ("process", "restarted")),
        ("kill", {"part": "started"}, ("process", "refused")),
        ("kill", {"part": "box"}, ("process", "refused")),
    ],
)
def test_what_proves_them(name: str, place: dict[str, object], seen: tuple[str, str]) -> None:
    (canary,) = made(name, **place).canaries
    assert (canary.probe, canary.effective) == seen


def test_every_connection_reset_is_a_refusal() -> None:
    (canary,) = made("errors", edge="http", percent=100).canaries
    assert (canary.effective, canary.percent) == ("refused", 0)


def test_a_latency_lasts_longer_than_one_answer() -> None:
    slow = made("latency", edge="http")
    assert slow.canaries[0].slow_ms_min == 7900
    assert slow.length_s == 10
    assert made("latency", edge="http", ms=20_000).length_s == 25


def test_expectations_are_the_fans_and_never_a_metric() -> None:
    for name, generic in GENERIC.items():
        told = made(name, **{generic.on: "http" if generic.on == "edge" else "web"}).expectations
        assert {type(one) for one in told} <= {VerbsRecover, VerbsAnswered, Reconnects}
    assert any(isinstance(one, Reconnects) for one in made("drop", edge="websocket").expectations)
    assert not any(isinstance(one, Reconnects) for one in made("drop", edge="postgres").expectations)


def test_their_names_in_records() -> None:
    assert made("cut", edge="redis").name == "cut-redis"
    assert name_of("latency", "Pay_Gateway") == "latency-pay-gateway"


@given(
    name=st.sampled_from(sorted(GENERIC)),
    edge=st.sampled_from(PROBES),
    part=st.sampled_from(sorted(PARTS)),
    ms=st.integers(1, 60_000),
    percent=st.floats(0.01, 100),
)
def test_each_is_a_valid_experiment_file_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, edge: str, part: str, ms: int, percent: float
) -> None:
    generic = GENERIC[name]
    place = {generic.on: edge if generic.on == "edge" else part}
    figure = {generic.needs: ms if generic.needs == "ms" else percent} if generic.needs else {}
    fault = PlannedFault(experiment=name, start_s=1, **place, **figure)  # type: ignore[arg-type]
    built = built_or_refused(fault)
    if isinstance(built, InputError):
        assert built.hint
        assert "\n" not in str(built)
        return
    path = tmp_path_factory.getbasetemp() / "built.yaml"
    path.write_bytes(msgspec.yaml.encode(msgspec.to_builtins(built)))
    if built.length_s >= built.shortest_s:
        assert experiment.load(path) == built


@pytest.mark.parametrize("name", ["hang", "latency", "errors"])
def test_a_tcp_probe_cannot_see_them(name: str) -> None:
    error = refused(name, edge="tcp", **FIGURES.get(name, {}))
    assert error.key == "edge"
    assert "platform.edges.tcp.probe" in error.hint


@pytest.mark.parametrize(
    ("name", "fields", "key", "says", "hint"),
    [
        ("cut", {}, "experiment", "does not say which edge", "edges: http"),
        ("cut", {"edge": "redsi"}, "edge", "no edge called 'redsi'", "did you mean 'redis'?"),
        ("cut", {"part": "web"}, "part", "cut breaks an edge, not a part", "edge: one of"),
        ("stop", {"edge": "http"}, "edge", "stop breaks a part, not an edge", "part: one of"),
        ("kill", {"part": "wbe"}, "part", "no part called 'wbe'", "did you mean 'web'?"),
        ("cut", {"edge": "http", "ms": 5}, "ms", "cut takes no ms", "latency"),
        ("latency", {"edge": "http", "ms": 5, "percent": 5.0}, "percent", "takes no percent", "errors and drop"),
        ("latency", {"edge": "http"}, "experiment", "latency needs ms", "ms: 8000"),
        ("errors", {"edge": "http"}, "experiment", "errors needs percent", "percent: 50"),
        ("drop", {"edge": "tcp"}, "experiment", "drop needs percent", "percent: 50"),
        ("drop", {"edge": "tcp", "percent": 0.5}, "percent", "cannot be proven", "2 or more"),
    ],
)
def test_what_cannot_be_planned(name: str, fields: dict[str, object], key: str, says: str, hint: str) -> None:
    error = refused(name, **fields)
    assert (error.key, says in error.message, hint in error.hint) == (key, True, True), str(error)


def test_without_edges_it_says_where_they_are_declared() -> None:
    with pytest.raises(InputError) as caught:
        experiment_for(PlannedFault(experiment="cut", start_s=1, edge="db"), {}, {})
    assert caught.value.hint == "declare it in platform.edges"


@pytest.mark.parametrize(
    ("shipped", "edges", "hint"),
    [
        ("redis-down", ["cache", "db"], "edges: cache, db; use {experiment: cut, edge: cache}"),
        ("payment-latency-8s", ["psp"], "edges: psp; use {experiment: latency, edge: psp, ms: 8000}"),
        ("websocket-drops", ["live"], "edges: live; use {experiment: drop, edge: live, percent: 50}"),
        ("redis-hang", [], "platform.edges has none; use {experiment: hang, edge: NAME}"),
        ("booking-node-loss", [], "platform.parts has none; use {experiment: kill, part: NAME}"),
    ],
)
def test_a_shipped_experiment_that_breaks_what_is_not_there(shipped: str, edges: list[str], hint: str) -> None:
    with pytest.raises(InputError) as caught:
        require_on_platform(experiment.load(shipped), edges, [])
    assert (caught.value.key, caught.value.hint) == ("experiment", hint)


def test_a_shipped_experiment_expects_what_only_the_reference_system_has() -> None:
    require_on_platform(experiment.load("redis-down"), ["redis"], [])
    with pytest.raises(InputError, match="target_breaker_state"):
        require_own_expectations(experiment.load("redis-down"), ["redis"], [])


@given(percent=st.floats(0.1, 99.9))
def test_so_many_looks_miss_a_share_once_in_a_thousand_times(percent: float) -> None:
    count = looks_for(percent)
    assert (1 - percent / 100) ** count <= 0.001001
    assert count == 1 or (1 - percent / 100) ** (count - 1) > 0.000999


def written(tmp_path: Path, canary: str, fault: str = "{action: kill, process: web}") -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"name: mine\nhypothesis: it holds\ncomponent: x\nkind: x\nlength_s: 9\nfaults:\n  - {fault}\n"
        f"canaries:\n  - {canary}\n"
    )
    return path


@pytest.mark.parametrize(
    ("canary", "fault", "key"),
    [
        ("{probe: process, process: web, effective: slow, slow_ms_min: 5}", "", "canaries[0].effective"),
        ("{probe: http, proxy: db, effective: failing}", "{action: disable, proxy: db}", "canaries[0].percent"),
        ("{probe: http, proxy: db, effective: refused, percent: 5}", "{action: disable, proxy: db}",
         "canaries[0].percent"),
        ("{probe: http, proxy: db, effective: restarted}", "{action: disable, proxy: db}", "canaries[0].probe"),
    ],
)  # fmt: skip
def test_a_file_with_a_canary_that_cannot_see_it(tmp_path: Path, canary: str, fault: str, key: str) -> None:
    with pytest.raises(InputError) as caught:
        experiment.load(written(tmp_path, canary, fault or "{action: kill, process: web}"))
    assert (caught.value.key, caught.value.line) == (key, 9)


@pytest.mark.parametrize("generic", GENERIC.values(), ids=list(GENERIC))
def test_the_documents_have_its_row_and_its_runbook(generic: Generic) -> None:
    takes = ", ".join(f"`{key}`" for key in (generic.on, generic.needs) if key)
    row = f"| `{generic.name}` | {takes} | {generic.does} | {generic.seen_by} |"
    assert row in (ROOT / "docs/chaos.md").read_text(encoding="utf-8")
    assert f"\n## {generic.name}\n" in (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")

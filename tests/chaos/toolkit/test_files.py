"""Files of Chaos Toolkit's: what is exported comes back whole, theirs become ours, the rest is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from chaoslib.experiment import ensure_experiment_is_valid

from chaos.specification import experiment
from chaos.specification.fault import AddToxic, Disable
from chaos.toolkit import exporting, importing
from harness.errors import InputError
from tests.chaos.servers import ROOT

EVERY = experiment.names()


def exported(name: str) -> dict[str, object]:
    return dict(msgspec.to_builtins(exporting.export(experiment.load(name))))


def written(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(document, indent=2))
    return path


@pytest.mark.parametrize("name", EVERY)
def test_what_is_exported_is_an_experiment_of_chaos_toolkit_with_rollbacks_always_on(name: str) -> None:
    document = exported(name)
    ensure_experiment_is_valid(document)
    assert document["runtime"] == {"rollbacks": {"strategy": "always"}}
    assert document["rollbacks"]


@pytest.mark.parametrize("name", EVERY)
def test_what_is_exported_comes_back_whole(tmp_path: Path, name: str) -> None:
    imported = importing.read(written(tmp_path, exported(name)))
    assert imported.experiment == experiment.load(name)
    assert imported.notes == ()


def test_what_it_makes_undecidable_comes_back_too(tmp_path: Path) -> None:
    own = msgspec.structs.replace(experiment.load("redis-kill"), makes_undecidable={"queue_order": "no place is kept"})
    document = json.loads(msgspec.json.encode(exporting.export(own)))
    assert importing.read(written(tmp_path, document)).experiment == own


@pytest.mark.parametrize("name", EVERY)
def test_every_expectation_is_in_the_hypothesis_or_said_to_be_left_out(name: str) -> None:
    document = exporting.export(experiment.load(name))
    assert document.hypothesis is not None
    judged = {probe.name for probe in document.hypothesis.probes}
    left_out = " ".join(document.extensions[0].not_expressed)
    for wanted in experiment.load(name).expectations:
        assert (wanted.name in judged) != (f"'{wanted.name}'" in left_out)


def test_what_takes_more_than_a_proxy_is_a_whole_drill() -> None:
    document = exporting.export(experiment.load("redis-kill"))
    assert [activity.provider.func for activity in document.method] == ["drill"]
    assert document.extensions[0].not_expressed == ()


def test_on_the_command_line(tmp_path: Path) -> None:
    def gatecrash(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", "chaos", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)

    theirs, ours = tmp_path / "theirs.json", tmp_path / "ours.yaml"
    there = gatecrash("export", "redis-down", "--out", str(theirs))
    assert (there.returncode, there.stdout) == (0, "")
    assert "not in the file: the expectation 'new holds are refused cleanly'" in there.stderr
    assert gatecrash("export", "redis-down").stdout == theirs.read_text()
    assert gatecrash("import", str(theirs), "--out", str(ours)).returncode == 0
    assert experiment.load(ours) == experiment.load("redis-down")
    refused = gatecrash("import", str(written(tmp_path, THEIRS | {"controls": []})))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "controls: is not supported" in refused.stderr
    for empty in (("import", ""), ("import", str(theirs), "--out", ""), ("export", "redis-down", "--out", "")):
        nothing = gatecrash(*empty)
        assert (nothing.returncode, nothing.stdout) == (2, "")
        assert "an empty path names nothing" in nothing.stderr


def theirs(func: str, module: str = "toxic.actions", pauses: object = None, **arguments: object) -> dict[str, object]:
    provider = {"type": "python", "module": f"chaostoxi.{module}", "func": func, "arguments": arguments}
    return {"type": "action", "name": func, "provider": provider, **({"pauses": pauses} if pauses else {})}


SLOW = theirs("create_latency_toxic", for_proxy="payments", toxic_name="slow", latency=900, jitter=100)
DELETE = theirs("delete_toxic", for_proxy="payments", toxic_name="slow")
EXISTS = {
    "type": "probe",
    "name": "it is there",
    "tolerance": True,
    "provider": {"type": "python", "module": "chaostoxi.proxy.probes", "func": "proxy_exist",
                 "arguments": {"proxy_name": "payments"}},
}  # fmt: skip
THEIRS: dict[str, object] = {
    "version": "1.0.0",
    "title": "Payments are slow",
    "description": "For five seconds.",
    "configuration": {"toxiproxy_url": "http://127.0.0.1:8474"},
    "steady-state-hypothesis": {"title": "Fans do not notice", "probes": [EXISTS]},
    "method": [SLOW | {"pauses": {"after": 5}}, DELETE],
    "rollbacks": [DELETE],
}


def test_toxics_of_chaostoolkit_toxiproxy(tmp_path: Path) -> None:
    imported = importing.read(written(tmp_path, THEIRS))
    found = imported.experiment
    assert (found.name, found.hypothesis, found.length_s) == ("payments-are-slow", "Fans do not notice", 5)
    assert found.faults == (AddToxic(proxy="payments", type="latency", attributes={"latency": 900, "jitter": 100}),)
    assert [(one.probe, one.effective, one.slow_ms_min) for one in found.canaries] == [("http", "slow", 800)]
    assert imported.notes == (
        "the proxy 'payments' is taken to speak http: see canaries",
        "it expects nothing yet: add expectations",
    )


def test_a_proxy_that_is_off_and_a_pause_before_the_healing(tmp_path: Path) -> None:
    off = theirs("disable_proxy", "proxy.actions", proxy_name="my_redis")
    on = theirs("enable_proxy", "proxy.actions", proxy_name="my_redis", pauses={"before": 3})
    found = importing.read(written(tmp_path, THEIRS | {"method": [off, on]})).experiment
    assert (found.faults, found.length_s) == ((Disable(proxy="my_redis"),), 3)
    assert [(one.probe, one.effective) for one in found.canaries] == [("redis", "refused")]


def process(**more: object) -> dict[str, object]:
    return {"type": "action", "name": "x", "provider": {"type": "process", "path": "ls"}, **more}


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"controls": []}, "controls", "is not supported"),
        ({"secrets": {}}, "secrets", "is not supported"),
        ({"titel": "x"}, "titel", "unknown key"),
        ({"runtime": {"hypothesis": {"strategy": "continuously"}}}, "runtime.hypothesis.strategy", "only 'default'"),
        ({"method": []}, "method", "breaks nothing"),
        ({"method": [SLOW, DELETE]}, "method", "how long"),
        ({"method": [process()]}, "method[0].provider", "type process"),
        ({"method": [SLOW | {"background": True}]}, "method[0].background", "is not supported"),
        ({"method": [theirs("create_proxy", "proxy.actions", proxy_name="x")]}, "method[0].provider", "create_proxy"),
        ({"method": [SLOW | {"pauses": {"after": 2}}, SLOW]}, "method[1]", "later than the others"),
        ({"method": [SLOW | {"pauses": {"after": 2}}, DELETE, EXISTS]}, "method[2].provider", "proxy_exist"),
        ({"method": [theirs("create_latency_toxic", for_proxy="${x}", latency=5, pauses={"after": 2})]},
         "method[0].provider.arguments", "variables"),
        ({"method": [theirs("create_latency_toxic", for_proxy="x", latency="5", pauses={"after": 2})]},
         "method[0].provider.arguments", "Expected `int`"),
        ({"method": [theirs("create_slicer_toxic", for_proxy="x", average_size=5, pauses={"after": 2})]}, "method",
         "no canary"),
        ({"rollbacks": [process()]}, "rollbacks[0].provider", "type process"),
        ({"rollbacks": [SLOW]}, "rollbacks[0].provider", "create_latency_toxic"),
        ({"steady-state-hypothesis": {"title": "t", "probes": [process(type="probe")]}},
         "steady-state-hypothesis.probes[0].provider", "type process"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_common_subset_is_refused(
    tmp_path: Path, change: dict[str, object], key: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        importing.read(written(tmp_path, THEIRS | change))
    assert caught.value.exit_code == 2
    assert caught.value.line is not None
    assert (caught.value.key or "").startswith(key)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_window_too_short_to_be_proven_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs at least"):
        importing.read(written(tmp_path, THEIRS | {"method": [SLOW | {"pauses": {"after": 1}}, DELETE]}))


def test_a_foreign_action_beside_ours_is_refused(tmp_path: Path) -> None:
    document = exported("redis-down")
    assert isinstance(document["method"], list | tuple)
    with pytest.raises(InputError, match="create_latency_toxic is not supported"):
        importing.read(written(tmp_path, document | {"method": [*document["method"], SLOW]}))


def test_a_longer_window_of_an_exported_file_is_kept(tmp_path: Path) -> None:
    document = json.loads(json.dumps(exported("redis-down")))
    document["method"][0]["provider"]["arguments"]["length_s"] = 7
    assert importing.read(written(tmp_path, document)).experiment.length_s == 7

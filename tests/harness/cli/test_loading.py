"""Faults of a scenario with a platform of the user's own: resolved, or refused with file, line, key and a hint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.entry import main as _main  # noqa: F401 - registers the commands
from harness.cli.loading import load_planned
from harness.errors import InputError
from tests.chaos.servers import ROOT

SCENARIO = """\
name: mine
description: A shop of our own.
duration_s: 60
load: {fans: 5, spectators: 0}
platform:
  adapter: shop.py:Shop
  url: http://127.0.0.1:8000/
  edges:
    db: {listen: 127.0.0.1:25433, upstream: 127.0.0.1:25432, probe: postgres}
    payments: {listen: 127.0.0.1:29001, upstream: 127.0.0.1:9001, probe: http}
    raw: {listen: 127.0.0.1:29002, upstream: 127.0.0.1:9002}
  parts:
    worker: {pid_file: worker.pid}
faults:
  - FAULT
"""
FAULT_LINE = 15
OURS = """\
name: ours
hypothesis: It holds.
component: db
kind: refuse
length_s: 4
faults: [{action: disable, proxy: db}]
canaries: [{probe: postgres, proxy: db, effective: refused}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text("class Shop: ...\n")
    (tmp_path / "ours.yaml").write_text(OURS)
    return tmp_path


def written(folder: Path, fault: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(SCENARIO.replace("FAULT", fault))
    return str(path)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("{experiment: cut, edge: db, start_s: 10}", "cut-db"),
        ("{experiment: latency, edge: payments, ms: 8000, start_s: 10, length_s: 12}", "latency-payments"),
        ("{experiment: kill, part: worker, start_s: 10}", "kill-worker"),
        ("{experiment: ./ours.yaml, start_s: 10}", "ours"),
        ("{experiment: ours.yaml, start_s: 10}", "ours"),
    ],
)
def test_what_a_scenario_can_plan(folder: Path, fault: str, name: str) -> None:
    _, (planned,) = load_planned(written(folder, fault), [])
    assert planned.experiment.name == name


@pytest.mark.parametrize(
    ("fault", "key", "says"),
    [
        ("{experiment: cut, edge: paymnets, start_s: 10}", "edge", "did you mean 'payments'?"),
        ("{experiment: cut, start_s: 10}", "experiment", "edges: db, payments, raw"),
        ("{experiment: stop, edge: db, start_s: 10}", "edge", "breaks a part"),
        ("{experiment: cut, edge: db, ms: 5, start_s: 10}", "ms", "takes no ms"),
        ("{experiment: drop, edge: db, start_s: 10}", "experiment", "needs percent"),
        ("{experiment: hang, edge: raw, start_s: 10}", "edge", "tcp probe cannot see hang"),
        ("{experiment: redis-down, start_s: 10}", "experiment", "edges: db, payments, raw; use {experiment: cut"),
        ("{experiment: payment-latency-8s, start_s: 10}", "experiment", "use {experiment: latency, edge: payments"),
        ("{experiment: ours.yaml, edge: db, start_s: 10}", "edge", "takes no edge"),
        ("{experiment: cut, edge: db, start_s: 57}", "start_s", "raise duration_s"),
        ("{experiment: cut, edge: db, start_s: 10, length_s: 90}", "start_s", "raise duration_s"),
        ("{experiment: latency, edge: payments, ms: 8000, start_s: 10, length_s: 5}", "length_s", "needs at least"),
        ("{experiment: cut, edge: db, start_s: 52}", "start_s", "start it earlier"),
        ("{experiment: nothing, start_s: 10}", "experiment", "known: "),
    ],
)
def test_what_it_cannot_is_said_in_one_line(folder: Path, fault: str, key: str, says: str) -> None:
    path = written(folder, fault)
    with pytest.raises(InputError) as caught:
        load_planned(path, [])
    error = caught.value
    assert (error.file, error.line, error.key) == (path, FAULT_LINE, f"faults[0].{key}")
    assert says in str(error)
    assert "\n" not in str(error)


def test_the_reference_system_has_no_edges(tmp_path: Path) -> None:
    path = tmp_path / "reference.yaml"
    path.write_text(
        "name: r\ndescription: d\nduration_s: 60\nfaults:\n  - {experiment: cut, edge: redis, start_s: 1}\n"
    )
    with pytest.raises(InputError, match="platform of your own") as caught:
        load_planned(str(path), [])
    assert caught.value.line == 5


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, ["experiment", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_they_are_listed_and_shown(folder: Path) -> None:
    assert "latency {edge: …, ms: …}" in shown("list")
    assert "latency: 8000" in shown("show", "latency", "--edge", "payments", "--ms", "8000")
    path = written(folder, "{experiment: cut, edge: db, start_s: 10}")
    assert "probe: postgres" in shown("show", "cut", "--edge", "db", "--scenario", path)
    with pytest.raises(InputError, match="no edge called 'other'"):
        shown("show", "cut", "--edge", "other", "--scenario", path)


def test_the_four_classic_faults_of_the_documents_can_be_planned(folder: Path) -> None:
    text = (ROOT / "docs/chaos.md").read_text(encoding="utf-8")
    (fragment,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "# websocket-drops" in block)
    head = "name: classic\ndescription: The four.\nduration_s: 120\nload: {fans: 5, spectators: 0}\n"
    shop = "platform:\n  adapter: shop.py:Shop\n  url: http://127.0.0.1:8000/\n"
    path = folder / "classic.yaml"
    path.write_text(head + fragment.replace("platform:\n", shop))
    _, planned = load_planned(str(path), [])
    assert [one.experiment.name for one in planned] == ["cut-cache", "cut-db", "latency-payments", "drop-feed"]

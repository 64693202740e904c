"""Generic faults on the edges and parts of a shop that is not ours, in a whole rehearsal: proven, healed, judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.processes.ports import HOST, free_ports
from harness.record.schema import FaultRun, FaultsDocument
from harness.record.verdict import Verdict
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT, Rehearsed

pytestmark = pytest.mark.e2e
SHOP = ROOT / "scenarios/little_shop"


def scenario(folder: Path, shop: int, provider: int, edge: int) -> str:
    """A small sale, in which the payment edge is cut, the shop stands still, and the provider is killed."""
    pids = folder / "shop"
    start = f"cd {ROOT} && {{ nohup $PYTHON -m target.little_shop.provider --port {provider} > /dev/null 2>&1 & "
    start += f"echo $! > {pids}/provider.pid; }}"
    at = {"probe": "http", "path": "/healthz"}
    parts = {
        "web": {"pid_file": f"{pids}/web.pid", "address": f"{HOST}:{shop}", **at},
        "provider": {"pid_file": f"{pids}/provider.pid", "address": f"{HOST}:{provider}", "start": start, **at},
    }
    document = {
        "name": "own-faults",
        "description": "Faults on a shop that is not ours.",
        "duration_s": 44,
        "platform": {
            "adapter": f"{SHOP}/shop.py:LittleShop",
            "url": f"http://{HOST}:{shop}/onsale",
            "prepare": f"{SHOP / 'prepare.sh'} --stock 300",
            "secrets": {"token": "LITTLE_SHOP_TOKEN"},
            "rules": {"stock": {"standing": 300}, "purchase_limit": 4, "hold_ttl_s": 4},
            "edges": {"payments": {"listen": f"{HOST}:{edge}", "upstream": f"{HOST}:{provider}", **at}},
            "parts": parts,
        },
        "load": {"fans": 60, "spectators": 0, "arrivals": {"shape": "ramp", "ramp_s": 40},
                 "journey": {"think_s": 0.2, "patience_s": 30}},
        "faults": [
            {"experiment": "cut", "edge": "payments", "start_s": 8, "length_s": 3},
            {"experiment": "stop", "part": "web", "start_s": 17, "length_s": 3},
            {"experiment": "kill", "part": "provider", "start_s": 26, "length_s": 2},
        ],
    }  # fmt: skip
    path = folder / "own-faults.yaml"
    path.write_text(json.dumps(document, indent=1))  # JSON is YAML
    return str(path)


@pytest.fixture(scope="module")
def rehearsed(room: Path) -> Iterator[Rehearsed]:
    """Deliberately through the command line, with the shop's own way of being started."""
    shop, provider, edge = free_ports(3)
    own = {
        "PYTHON": sys.executable,
        "LITTLE_SHOP_TOKEN": "little-shop",
        "LITTLE_SHOP_DIR": str(room / "shop"),
        "LITTLE_SHOP_PORT": str(shop),
        "LITTLE_SHOP_PROVIDER_PORT": str(provider),
        "LITTLE_SHOP_PAYMENTS": f"http://{HOST}:{edge}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        done = rehearsals.rehearse(room, scenario(room, shop, provider, edge))
        assert (done.run / "verdict.json").exists(), done.done.stderr
        yield done
        subprocess.run([SHOP / "prepare.sh", "stop"], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.fixture(scope="module")
def faults(rehearsed: Rehearsed) -> dict[str, FaultRun]:
    document = msgspec.json.decode((rehearsed.run / "faults.json").read_bytes(), type=FaultsDocument)
    return {fault.experiment: fault for fault in document.faults}


@pytest.fixture(scope="module")
def verdict(rehearsed: Rehearsed) -> Verdict:
    return rehearsals.verdict(rehearsed.run)


@pytest.mark.parametrize("name", ["cut-payments", "stop-web", "kill-provider"])
def test_each_fault_was_in_force_and_is_healed(faults: dict[str, FaultRun], name: str) -> None:
    assert faults[name].proven, faults[name].error


def test_fans_are_served_as_before_after_each(verdict: Verdict) -> None:
    told = {(fault.experiment, one.name): one.status for fault in verdict.faults for one in fault.expectations}
    assert {one: status for one, status in told.items() if status not in ("met", "not_exercised")} == {}
    buying = {experiment: status for (experiment, name), status in told.items() if name == "buying works again"}
    assert buying == dict.fromkeys(("cut-payments", "stop-web", "kill-provider"), "met")


def test_nothing_is_left_in_force(rehearsed: Rehearsed) -> None:
    done = rehearsals.run(rehearsed.temporary, "chaos", "status")
    assert done.stdout == "nothing is in force\n"

"""The workers in containers: their file is right by Compose, runs a command that exists, and shows no key."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from harness.swarm.messaging import KEY_VARIABLE
from tests.deploy.test_kubernetes import require_known

FILE: Final = Path(__file__).parents[2] / "deploy" / "workers.compose.yaml"
WORKER: Final[dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]["worker"]
COMPOSE: Final = shutil.which("docker-compose")


def test_a_worker_runs_a_command_that_exists_with_its_options() -> None:
    require_known(WORKER["command"])
    assert KEY_VARIABLE in WORKER["environment"]  # without a value: that of whoever starts it
    assert not [word for word in WORKER["command"] if "key" in word.lower()]


def test_a_worker_is_nobody_and_writes_nowhere_but_in_its_own_folder() -> None:
    assert WORKER["user"] == "65534:65534"
    assert (WORKER["read_only"], WORKER["cap_drop"]) == (True, ["ALL"])
    assert WORKER["volumes"] == [".:/rehearsal:ro", "/tmp"]
    assert "HOME=/tmp" in WORKER["environment"]


@pytest.mark.skipif(COMPOSE is None, reason="no docker-compose in PATH")
def test_compose_takes_it_and_wants_to_know_the_master(tmp_path: Path) -> None:
    file = tmp_path / FILE.name
    shutil.copyfile(FILE, file)
    command = [str(COMPOSE), "-f", str(file), "config"]
    environment = {name: value for name, value in os.environ.items() if name != "GATECRASH_MASTER"}
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert asked.returncode != 0
    assert "HOST of the rehearsal" in asked.stderr
    told = environment | {"GATECRASH_MASTER": "10.0.0.5", KEY_VARIABLE: "k"}
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    worker = yaml.safe_load(done.stdout)["services"]["worker"]
    assert "--master=10.0.0.5" in worker["command"]
    assert worker["environment"][KEY_VARIABLE] == "k"

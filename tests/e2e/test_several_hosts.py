"""The page on several machines, followed on three hosts: what it tells to type over SSH is what runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.record.reader import Record
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT
from tests.harness.swarm.hosts import Host, hosts

pytestmark = pytest.mark.e2e
PAGE = ROOT / "docs" / "how-to" / "several-machines.md"
FANS = 40
SSH = """\
#!/bin/sh
# Stands for ssh: HOST SCRIPT, in the namespace of that host, which knows nothing of our variables.
case "$*" in *"$GATECRASH_WORKER_KEY"*) echo "the key is in a list of processes" >&2; exit 9;; esac
{cases}
exec ip netns exec "$name" env -i HOME="{folder}/$1" PATH="$PATH" sh -c "$2"
"""


def over_ssh() -> str:
    """The block of the page that starts workers over SSH."""
    [block] = re.findall(r"^```\n((?:(?!```).)*ssh .*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return str(block)


def programs(folder: Path, others: dict[str, Host]) -> Path:
    """A folder for PATH with gatecrash, and an ssh that reaches these hosts."""
    (folder / "bin").mkdir()
    cases = "\n".join(f'[ "$1" = {name} ] && name={host.name}' for name, host in others.items())
    commands = {
        "gatecrash": f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m harness "$@"\n',
        "ssh": SSH.format(cases=cases, folder=folder),
    }
    for name, text in commands.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


def onsale(folder: Path) -> None:
    """A short scenario without faults, and the adapter file that every host has."""
    scenario = yaml.safe_load((ROOT / "scenarios" / "smoke.yaml").read_text(encoding="utf-8"))
    small = {
        "name": "onsale",
        "faults": [],
        "duration_s": 8,
        "load": scenario["load"] | {"fans": FANS, "spectators": 5},
    }
    (folder / "onsale.yaml").write_text(yaml.safe_dump(scenario | small))
    for name in ("load-1", "load-2"):
        (folder / name).mkdir()
        (folder / name / "shop.py").write_text("")


def test_workers_that_are_started_over_ssh_carry_their_share(room: Path) -> None:
    onsale(room)
    with hosts(2) as (first, second):
        path = programs(room, {"load-1": first, "load-2": second})
        script = over_ssh().replace("10.0.0.5", first.sees_us_at)
        environment = {**rehearsals.environment(room / "tmp"), "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", f"{script}\ncode=$?; wait; exit $code"],
            cwd=room, env=environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    run = rehearsals.only_run(room / "runs")
    load = Record.open(run).run.load
    assert load is not None
    assert load.users_asked == load.users_released == FANS + 5
    assert load.requests_sent == load.samples_recorded
    assert len(load.workers) > 4  # its own, and two on each of the others
    assert [worker.worker for worker in load.workers if worker.lost or not worker.armed] == []

"""More processes only where one may not open so many connections."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from harness.processes.machine import processes_for, spare_cores, workers_for

RAISED = (
    "from harness.processes.machine import *; import resource; raise_descriptors(); print(resource.getrlimit(7)[0])"
)


@pytest.mark.parametrize(
    ("connections", "descriptors", "processes"),
    [(0, 20_000, 1), (15_500, 20_000, 1), (15_501, 20_000, 2), (200_000, 20_000, 13), (200_000, 1_048_576, 1)],
)
def test_no_process_gets_near_its_limit(connections: int, descriptors: int, processes: int) -> None:
    assert processes_for(connections, descriptors) == processes


def test_a_small_crowd_has_a_worker_for_each_spare_core() -> None:
    assert workers_for(100) == spare_cores()


def test_the_limit_is_raised_as_far_as_the_rights_allow() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    command = [sys.executable, "-c", RAISED]
    done = subprocess.run(command, preexec_fn=lower, capture_output=True, text=True, check=True)
    assert int(done.stdout) >= hard

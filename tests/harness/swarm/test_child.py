"""The swarm as a child process: whatever becomes of it, it is left without a process."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness.record.paths import RunPaths
from harness.swarm.child import SwarmChild
from harness.swarm.protocol import Armed
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import shop_spec
from tests.harness.swarm.test_swarm import shop


def test_a_swarm_that_does_not_end_in_time_is_ended_with_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.swarm.child._ENDS_WITHIN_S", 0.2)
    paths = RunPaths(root=tmp_path)
    paths.logs.mkdir()
    with serving(shop) as server, SwarmChild(shop_spec(server.url, tmp_path), paths) as swarm:
        swarm.expect(Armed, 240.0)
        family = [psutil.Process(swarm.pid), *psutil.Process(swarm.pid).children()]
        for one in family:
            one.suspend()
    assert len(family) == 3
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

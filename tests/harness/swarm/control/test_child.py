"""The swarm as a child process: whatever becomes of it, it is left without a process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from harness.errors import NoVerdict
from harness.fault_change import FaultChange
from harness.record.paths import RunPaths
from harness.record.schema import Anomaly
from harness.rehearsal.journal import RunJournal
from harness.rehearsal.lifecycle import _observe
from harness.swarm.control.child import SwarmChild
from harness.swarm.messaging.protocol import Armed, Release, ReleaseCommand
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import shop_spec
from tests.harness.swarm.test_swarm import shop
from tests.waiting import wait_until


def test_a_swarm_that_does_not_end_in_time_is_ended_with_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.swarm.control.child._ENDS_WITHIN_S", 0.2)
    paths = RunPaths(root=tmp_path)
    paths.logs.mkdir()
    with serving(shop) as server, SwarmChild(shop_spec(server.url, tmp_path), paths) as swarm:
        swarm.expect(Armed, 240.0)
        family = [psutil.Process(swarm.pid), *psutil.Process(swarm.pid).children()]
        for one in family:
            one.suspend()
    assert len(family) == 3
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_a_swarm_that_says_nothing_in_time_is_told_of_in_words(tmp_path: Path) -> None:
    paths = RunPaths(root=tmp_path)
    paths.logs.mkdir()
    with serving(shop) as server, SwarmChild(shop_spec(server.url, tmp_path), paths) as swarm:
        swarm.expect(Armed, 240.0)
        with pytest.raises(NoVerdict, match="the load generator released nobody within 1 s"):
            swarm.expect(Release, 1.0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_master_that_is_killed_is_named_and_takes_its_workers_with_it(tmp_path: Path, number: signal.Signals) -> None:
    paths = RunPaths(root=tmp_path)
    paths.logs.mkdir()
    family: list[psutil.Process] = []

    def follow(server_url: str) -> None:
        with SwarmChild(shop_spec(server_url, tmp_path), paths) as swarm:
            swarm.expect(Armed, 240.0)
            family.extend([psutil.Process(swarm.pid), *psutil.Process(swarm.pid).children()])
            os.kill(swarm.pid, number)
            swarm.tell(ReleaseCommand())
            swarm.expect(Release, 60.0)

    died = f"the load generator's master process died: it was killed by signal {int(number)}"
    with serving(shop) as server, pytest.raises(NoVerdict, match=died):
        follow(server.url)
    wait_until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family[1:]))


class Quiet:
    """As much of stack, scraper, conductor and observer as following a run takes; none says anything."""

    stop_reason = failure = ""

    def deaths(self) -> tuple[Anomaly, ...]:
        return ()

    def changes(self) -> tuple[FaultChange, ...]:
        return ()

    def saw(self, _: object) -> None: ...
    def progress(self, *_: object) -> None: ...
    def note(self, _: str) -> None: ...


def test_a_master_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.swarm.control.child._ENDS_WITHIN_S", 0.2)
    monkeypatch.setattr("harness.rehearsal.lifecycle._SILENT_MAX_S", 2.0)
    paths = RunPaths(root=tmp_path)
    paths.logs.mkdir()
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, duration_s=600.0)
        journal = RunJournal(paths, spec.scenario, (), {}, "none")
        with SwarmChild(spec, paths) as swarm:
            swarm.expect(Armed, 240.0)
            swarm.tell(ReleaseCommand())
            swarm.expect(Release, 60.0)
            psutil.Process(swarm.pid).suspend()
            quiet = Quiet()
            with pytest.raises(NoVerdict, match="master process said nothing for 2 s"):
                _observe(spec.scenario, swarm, quiet, quiet, quiet, quiet, journal)  # type: ignore[arg-type]

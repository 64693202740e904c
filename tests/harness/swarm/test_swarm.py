"""Master and worker processes, end to end, against a small real server: nothing here is in one process."""

from __future__ import annotations

import os
import signal
import time
from email.utils import formatdate
from pathlib import Path

import msgspec
import psutil
import pytest

from harness.errors import ExitCode
from harness.scenario import Arrivals, Journey
from harness.swarm.messaging.protocol import (
    DEFAULT_PLATFORM,
    Armed,
    FailureMessage,
    Finished,
    Progress,
    Reach,
    Release,
    ReleaseCommand,
    Settle,
    Settled,
    Stop,
    Waiting,
)
from harness.swarm.messaging.run_key import RunKey
from harness.swarm.users.plan import all_plans, digest, lurker_plan
from tests.harness.swarm.scripted_server import Asked, response, serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec
from tests.waiting import wait_until


def shop(asked: Asked) -> list[bytes]:
    return [response(b"ok", 201 if asked.method == "POST" else 200)]


def whole_run(swarm: SwarmProcess) -> tuple[Armed, Release, Finished, Settled]:
    armed = swarm.expect(Armed)
    swarm.tell(ReleaseCommand())
    release = swarm.expect(Release)
    finished = swarm.expect(Finished)
    swarm.tell(Settle())
    settled = swarm.expect(Settled)
    assert swarm.ended() == 0
    return armed, release, finished, settled


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gone(pid: int, within_s: float = 30.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:  # whoever adopted it may never ask for it
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_run_from_arming_to_settled(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        armed, release, finished, settled = whole_run(swarm)
        asked = len(server.asked)

    assert (armed.armed, armed.asked, armed.failures) == (40, 40, {})
    assert finished.load.users_released == 40
    assert finished.load.unfinished == 0
    assert finished.capabilities == ("queue", "seats")
    assert release.t0_wall_s == pytest.approx(time.time(), abs=60)

    requests = swarm.table("requests")
    assert settled.load.requests_sent == settled.load.samples_recorded == requests.num_rows == asked == 81
    assert sorted(requests["user"].to_pylist()) == sorted([*range(40), *range(40), -1])
    for worker in (1, 2):
        seqs = [row["seq"] for row in requests.to_pylist() if row["worker"] == worker]
        assert sorted(seqs) == list(range(len(seqs)))

    first = [row for row in requests.to_pylist() if row["step"] == "queue_page"]
    assert all(row["t_intended_s"] == pytest.approx(0.0, abs=1e-9) for row in first)
    assert min(row["t_start_s"] for row in first) >= 0.0
    assert finished.load.skew_ms_max is not None
    assert finished.load.skew_ms_max == pytest.approx(max(row["t_start_s"] for row in first) * 1000, abs=1.0)

    assert swarm.table("operations").num_rows == 40
    assert swarm.table("final_seats").num_rows == 2
    assert swarm.table("final_orders").num_rows == 0
    assert not (tmp_path / "final_ledger.parquet").exists()
    assert [worker.armed for worker in finished.load.workers] == [20, 20]
    for worker in finished.load.workers:
        assert abs(worker.clock_offset_ms) <= worker.clock_uncertainty_ms + 0.05
        assert 0 < worker.clock_uncertainty_ms < 100
        assert worker.skew_ms_min is not None
        assert worker.skew_ms_min >= 0.0
    assert settled.at_rest
    assert settled.seat_map is not None
    assert settled.seat_map.capacity == 2
    assert not list(tmp_path.glob("**/*.arrows"))


def test_the_spec_with_the_operators_token_is_gone_before_the_release_and_whatever_ends_the_swarm(
    tmp_path: Path,
) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, fans=2)) as swarm:
        swarm.expect(Armed)
        assert not (tmp_path / "swarm.json").exists()
        assert swarm.ended() == 0
    with running(shop_spec("http://127.0.0.1:9", tmp_path, customer="Nobody")) as swarm:
        swarm.expect(FailureMessage)
        swarm.ended()
        assert not (tmp_path / "swarm.json").exists()


def test_the_same_seed_gives_the_same_digest(tmp_path: Path) -> None:
    """However many workers share the users; that another seed gives others, `test_plan` shows."""
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, fans=4, workers=2)
        with running(spec) as swarm:
            told = whole_run(swarm)[2].journey_digest
        people = set(swarm.table("operations")["actor"].to_pylist())
    assert told == digest(all_plans(spec.scenario.load, spec.seed))
    assert people == {f"fan-{number:06d}" for number in range(4)}


def test_cold_connects_are_made_after_t0(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, connect="cold", fans=6)) as swarm:
        assert swarm.expect(Armed).armed == 6
        assert server.connections == 0
        swarm.tell(ReleaseCommand())
        assert swarm.expect(Finished).load.users_released == 6
    assert server.connections == 6


def test_stop_ends_journeys_and_every_request_is_accounted_for(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", duration_s=60)
        with running(spec) as swarm:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            swarm.expect(Progress)
            seen = swarm.expect(Progress)
            swarm.tell(Stop())
            finished = swarm.expect(Finished)
            assert swarm.ended() == 0
    assert seen.users_by_step
    assert finished.load.unfinished == sum(one.count for one in finished.load.cut) == 40
    assert {one.kind for one in finished.load.cut} == {"fan"}
    assert finished.load.requests_sent == finished.load.samples_recorded == swarm.table("requests").num_rows
    outcomes = swarm.table("operations").group_by("outcome").aggregate([("op", "count")]).to_pylist()
    assert {row["outcome"] for row in outcomes} <= {"ok", "unknown"}


def test_a_worker_that_dies_is_lost_and_its_users_stay_lost(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", duration_s=8)
        with running(spec) as swarm:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            swarm.expect(Release)
            swarm.await_recorded(100)
            os.kill(max(swarm.worker_pids()), signal.SIGKILL)
            finished = swarm.expect(Finished)
            swarm.tell(Settle())
            settled = swarm.expect(Settled)
            assert swarm.ended() == 0
    lost = [worker for worker in finished.load.workers if worker.lost]
    assert len(lost) == 1
    assert lost[0].samples_recorded > 0
    assert any("died" in note for note in finished.notes)
    assert swarm.table("requests").num_rows == settled.load.samples_recorded
    first_shots = [row["user"] for row in swarm.table("requests").to_pylist() if row["step"] == "queue_page"]
    assert len(first_shots) == len(set(first_shots)) == 40


def test_probes_are_sent_by_the_first_worker_and_are_no_users(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, platform="ShopWithProbes")) as swarm:
        armed, _, finished, settled = whole_run(swarm)
    assert (armed.armed, armed.asked, finished.load.users_released, finished.load.unfinished) == (40, 40, 40, 0)
    requests = swarm.table("requests").to_pandas()
    probed = requests[requests["kind"] == "probe"]
    assert sorted(probed["actor"]) == [f"probe-{number}" for number in range(1, 9)]
    assert set(probed["worker"]) == {1}
    assert settled.load.requests_sent == settled.load.samples_recorded == len(requests)
    (crash,) = finished.load.crashes
    assert (crash.what, crash.kind, crash.step, crash.count) == ("KeyError: 'glasses'", "probe", "queue_page", 1)


def test_a_journey_that_crashes_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, customer="Clumsy", fans=4)) as swarm:
        _, _, finished, _ = whole_run(swarm)
    (crash,) = finished.load.crashes
    assert crash.what == "KeyError: 'shoelace'"
    assert (crash.kind, crash.count) == ("fan", 4)
    assert crash.where.partition(":")[0].endswith("corner_shop.py")
    assert finished.load.requests_sent == finished.load.samples_recorded


def test_a_platform_that_is_not_there_arms_nobody_and_says_why(tmp_path: Path) -> None:
    with serving(shop) as server:
        gone_url = server.url
    with running(shop_spec(gone_url, tmp_path, fans=4)) as swarm:
        armed = swarm.expect(Armed)
        assert (armed.armed, armed.asked, armed.failures) == (0, 4, {"fan: refused": 4})
        assert swarm.ended() == 0


def test_an_adapter_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    spec = shop_spec("http://127.0.0.1:9", tmp_path, customer="Nobody")
    with running(spec) as swarm:
        failed = swarm.expect(FailureMessage)
        assert "Nobody" in failed.message
        assert swarm.ended() == failed.exit_code == 2


def test_workers_do_not_outlive_a_killed_master(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, customer="Loiterer")) as swarm:
        swarm.expect(Armed)
        workers = swarm.worker_pids()
        assert len(workers) == 2
        swarm.process.kill()
        swarm.process.wait()
        assert all(gone(pid) for pid in workers)


@pytest.mark.parametrize("grown", [0.0, 0.4])
def test_workers_do_not_outlive_a_master_that_dies_before_it_has_heard_of_them(tmp_path: Path, grown: float) -> None:
    """Their parent is gone before they could look who that was: while they still load their modules, or connect."""
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        wait_until(lambda: len(swarm.worker_pids()) == 2, within_s=90, what="two worker processes")
        workers = swarm.worker_pids()
        wait_until(lambda: all(cpu_s(pid) >= grown for pid in workers), within_s=90, what="workers of that age")
        swarm.process.kill()
        swarm.process.wait()
        assert all(gone(pid) for pid in workers)


def test_a_worker_that_is_killed_before_it_is_heard_of_is_no_fault_of_what_the_user_wrote(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path)) as swarm:
        wait_until(lambda: len(swarm.worker_pids()) == 2, within_s=90, what="two worker processes")
        os.kill(swarm.worker_pids()[0], signal.SIGKILL)
        failed = swarm.expect(FailureMessage)
        assert failed.message.startswith("1 of 2 load workers did not start: worker ")
        assert failed.message.endswith(" was killed by signal 9")
        assert failed.exit_code == ExitCode.NO_VERDICT


def test_a_swarm_that_nobody_waits_for_ends_before_it_is_armed(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(
        shop_spec("http://127.0.0.1:9", tmp_path), reach=Reach(remote_workers=1, key=RunKey.draw().text)
    )
    with running(spec) as swarm:
        swarm.expect(Waiting)
        workers = swarm.worker_pids()
        assert swarm.ended() == 130
        assert all(gone(pid) for pid in workers)


def test_the_end_of_stdin_ends_the_swarm(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, duration_s=60)) as swarm:
        swarm.expect(Armed)
        swarm.tell(ReleaseCommand())
        swarm.expect(Release)
        assert swarm.ended() == 0
    assert swarm.table("requests").num_rows >= 0


def test_bots_for_a_platform_that_knows_none_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path / "run", bots=2)) as swarm:
        failed = swarm.expect(FailureMessage)
        assert "did not start" in failed.message
        assert server.asked == []
    assert "CornerShop cannot send bots (write its bot_session" in (tmp_path / "run" / "swarm.log").read_text()


def test_waves_go_each_at_their_own_instant_and_skew_is_told_from_it(tmp_path: Path) -> None:
    arrivals = Arrivals(shape="waves", waves_s=(0.0, 0.8))
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, fans=20, arrivals=arrivals, duration_s=4.0)
        with running(spec) as swarm:
            _, _, finished, _ = whole_run(swarm)
    assert finished.load.users_released == 20
    first = [row for row in swarm.table("requests").to_pylist() if row["step"] == "queue_page"]
    for wave_s in arrivals.waves_s:
        own = [row for row in first if row["t_intended_s"] == pytest.approx(wave_s, abs=1e-6)]
        assert len(own) == 10
        assert all(row["t_start_s"] >= wave_s - 1e-6 for row in own)
    late_ms = max((row["t_start_s"] - row["t_intended_s"]) * 1000 for row in first)
    assert finished.load.skew_ms_max == pytest.approx(late_ms, abs=1.0)


def test_a_ramp_and_a_hum_come_one_by_one(tmp_path: Path) -> None:
    arrivals = Arrivals(shape="ramp", ramp_s=1.0, hum_ratio=0.5)
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, fans=20, arrivals=arrivals, duration_s=4.0)
        with running(spec) as swarm:
            whole_run(swarm)
    first = [row for row in swarm.table("requests").to_pylist() if row["step"] == "queue_page"]
    intended = sorted(row["t_intended_s"] for row in first)
    assert len(set(intended)) >= 15
    assert intended[0] > 0.0
    assert all(row["t_start_s"] >= row["t_intended_s"] - 1e-6 for row in first)


class Crowd:
    """Tells each connection when to come back: after seconds, at a date, or so late that nobody waits."""

    def __init__(self) -> None:
        self.too_early = 0
        self._due_wall_s: dict[int, float] = {}

    def __call__(self, asked: Asked) -> list[bytes]:
        now_s = time.time()
        if asked.connection in self._due_wall_s:
            self.too_early += now_s < self._due_wall_s[asked.connection]
            return [response(b"in")]
        at = int(now_s) + 3
        body, field, due_s = (
            (b"s", "1.2", now_s + 1.2),
            (b"dd", formatdate(at, usegmt=True), at),
            (b"lll", "3600", now_s + 3600),
        )[asked.connection % 3]
        self._due_wall_s[asked.connection] = due_s
        return [response(body, 503, f"Retry-After: {field}")]


def test_a_user_comes_back_when_told_and_leaves_when_that_is_too_late(tmp_path: Path) -> None:
    """Each retry counts from the first intention; when it was really sent stands beside it."""
    journey = Journey(think_s=0.02, patience_s=20.0)
    crowd = Crowd()
    with serving(crowd) as server:
        spec = shop_spec(server.url, tmp_path, fans=0, lurkers=9, journey=journey, duration_s=8.0, workers=1)
        with running(msgspec.structs.replace(spec, platform=DEFAULT_PLATFORM)) as swarm:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            finished = swarm.expect(Finished)
            assert swarm.ended() == 0
    assert finished.load.unfinished == 0
    by_user: dict[int, list[dict[str, object]]] = {}
    for row in sorted(swarm.table("requests").to_pylist(), key=lambda row: (row["user"], row["t_start_s"])):
        by_user.setdefault(row["user"], []).append(row)
    told = {size: [rows for rows in by_user.values() if rows[0]["response_bytes"] == size] for size in (1, 2, 3)}
    assert [len(group) for group in told.values()] == [3, 3, 3]
    for first, again, *_ in [*told[1], *told[2]]:
        assert [(row["status"], row["attempt"]) for row in (first, again)] == [(503, 1), (200, 2)]
        assert again["t_intended_s"] == first["t_intended_s"] == pytest.approx(0.0, abs=1e-9)
        assert again["t_start_s"] > first["t_end_s"]
    assert crowd.too_early == 0
    assert [len(rows) for rows in told[3]] == [1, 1, 1]


def test_lurkers_load_the_page_and_leave(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, fans=0, lurkers=12, journey=Journey(think_s=0.02), duration_s=4.0)
        with running(msgspec.structs.replace(spec, platform=DEFAULT_PLATFORM)) as swarm:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            finished = swarm.expect(Finished)
            assert swarm.ended() == 0
        asked = [one for one in server.asked if one.target == "/queue/e"]
    planned = sum(1 + lurker_plan(Journey(think_s=0.02), 7, index).reloads for index in range(12))
    assert finished.load.users_released == 12
    assert finished.load.unfinished == 0
    rows = [row for row in swarm.table("requests").to_pylist() if row["kind"] == "lurker"]
    assert len(rows) == len(asked) == planned
    assert {row["step"] for row in rows} == {"queue_page"}
    assert swarm.table("operations").num_rows == 0

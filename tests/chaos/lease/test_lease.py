"""A keeper killed at any step of any fault leaves nothing broken; nor does one that hangs, or loses its reaper."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from chaos.injectors import postgres
from chaos.lease import lease, state
from harness.processes.managed import ManagedProcess
from harness.processes.outside import OutsideProcess
from harness.record.schema import FaultRun, FaultsDocument
from harness.stack.reference import workspace
from harness.stack.reference.databases import Postgres
from tests.chaos.keeper import PartOf, Task
from tests.chaos.servers import HOST, ROOT, ProxyServer, Valkey, free_port, ping
from tests.plugins.site import Site, install_example
from tests.waiting import wait_until

LEASE_S = 3.0
HEALED_WITHIN_S = 30.0  # a second or two after the end of the lease, on a machine that is not busy
STEPS = {
    "written, not yet injected": ("Lease.intend", "return"),
    "injected": ("inject", "return"),
    "in force, about to heal": ("Injection.heal", "call"),
    "healed, not yet written": ("_undo", "return"),
    "healed and written": ("Lease.undone", "return"),
}
PROXY = "canaries: [{probe: redis, proxy: redis, effective: refused}]"
FAULTS = {
    "disable": ("{action: disable, proxy: redis}", PROXY),
    "toxic": ("{action: toxic, proxy: redis, type: bandwidth}", PROXY.replace("refused", "hung")),
    "drop": ("{action: drop, proxy: redis, percent: 100}",
             "canaries: [{probe: websocket, proxy: redis, effective: dropped}]"),
    "pause": ("{action: pause, process: valkey}", "canaries: [{probe: redis, process: valkey, effective: hung}]"),
    "kill": ("{action: kill, process: valkey}", "canaries: [{probe: redis, process: valkey, effective: refused}]"),
    "disconnect": ("{action: disconnect, process: valkey}",
                   "canaries: [{probe: redis, process: valkey, effective: unanswered}]"),
    "pause_replay": ("{action: pause_replay, server: postgres-replica}",
                     "canaries: [{probe: replica, server: postgres-replica, effective: stale}]"),
    "cut_replication": ("{action: cut_replication, server: postgres-replica}",
                        "canaries: [{probe: replica, server: postgres-replica, effective: stale}]"),
    "plugin": ("{action: plugin_on_proxy, fault: shut, proxy: redis}", PROXY),
}  # fmt: skip
ON_VALKEY = ("disable", "toxic", "pause", "kill")
ON_CONTAINERS = ("kill", "pause", "disconnect")
ON_POSTGRES = ("pause_replay", "cut_replication")


def experiment_file(folder: Path, fault: str) -> str:
    action, canaries = FAULTS[fault]
    path = folder / f"{fault}.yaml"
    path.write_text(
        f"name: {fault.replace('_', '-')}\nhypothesis: it heals\ncomponent: x\nkind: x\nlength_s: 2\n"
        f"faults: [{action}]\n{canaries}\n"
    )
    return str(path)


@contextlib.contextmanager
def at_work(task: Task, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper of this task, as a process of its own."""
    path = folder / "task.json"
    path.write_bytes(msgspec.json.encode(task))
    keeper = subprocess.Popen([sys.executable, "-m", "tests.chaos.keeper", str(path)], cwd=ROOT)
    try:
        yield keeper
    finally:
        keeper.kill()
        keeper.wait()


class Room:
    """One proxy with a real Valkey behind it, something foreign beside it, and keepers that break it."""

    def __init__(self, folder: Path, server: ProxyServer, valkey: Valkey) -> None:
        self.folder = folder
        self.server = server
        self.valkey = valkey
        self.through = server.create("redis", valkey.address)
        server.create("foreign", valkey.address, enabled=False)
        server.create("foreign_2", valkey.address)
        server.toxic("foreign_2", "latency", latency=1)
        server.toxic("redis", "latency", latency=0)
        self.foreign = self._others()
        server.call("DELETE", "/proxies/redis/toxics/latency_downstream")

    @property
    def faults_path(self) -> Path:
        return self.folder / "faults.json"

    def whole(self) -> bool:
        """Whether Valkey answers, through the proxy and past it, and the proxy carries nothing."""
        proxy = self.server.call("GET", "/proxies/redis").json()
        past = (HOST, self.valkey.port)
        return bool(proxy["enabled"] and not proxy["toxics"] and ping(self.through) and ping(past))

    def untouched(self) -> bool:
        return self._others() == self.foreign

    def _others(self) -> list[object]:
        return [self.server.call("GET", f"/proxies/{name}").json() for name in ("foreign", "foreign_2")]

    @contextlib.contextmanager
    def keeper(
        self, fault: str, step: str = "", event: str = "", lasts_s: float = 2.0, **more: object
    ) -> Iterator[subprocess.Popen[bytes]]:
        process = self.valkey.process
        assert process is not None
        command = tuple(map(str, process.args)) if isinstance(process.args, list) else ()
        part = PartOf("valkey", process.pid, self.valkey.address, command, str(self.folder / "valkey.log"))
        task = Task(
            url=self.server.url, experiment=experiment_file(self.folder, fault), faults_path=str(self.faults_path),
            lease_s=LEASE_S, lasts_s=lasts_s, owner_pid=os.getpid(), step=step, event=event, parts=(part,), **more,
        )  # type: ignore[arg-type]  # fmt: skip
        with at_work(task, self.folder) as keeper:
            yield keeper

    def fault(self) -> FaultRun:
        (run,) = msgspec.json.decode(self.faults_path.read_bytes(), type=FaultsDocument).faults
        return run


@pytest.fixture
def room(tmp_path: Path, ours: ProxyServer, valkey: Valkey) -> Iterator[Room]:
    yield Room(tmp_path, ours, valkey)
    wait_until(no_journal, within_s=HEALED_WITHIN_S, what="the end of a killed keeper's reaper")
    for process in psutil.process_iter(["cmdline"]):  # what a stand-in started in the place of Valkey
        if str(valkey.port) in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture(scope="module")
def replica() -> Iterator[dict[str, str]]:
    """A real primary and its streaming replica, below a directory that their own user can reach."""
    folder = workspace.create()
    servers: list[ManagedProcess] = []
    try:
        cluster = Postgres(folder, folder)
        cluster.initialise().wait_success(within_s=60)
        ports = free_port(), free_port()
        servers.append(cluster.start_primary(ports[0]))
        servers.append(cluster.start_replica(ports[1], ports[0], ports[0]))
        yield {"postgres-primary": cluster.dsn(ports[0]), "postgres-replica": cluster.dsn(ports[1])}
    finally:
        for server in reversed(servers):
            server.stop(within_s=5)
        workspace.remove(folder)


def no_journal() -> bool:
    return not state.journals()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ON_VALKEY)
def test_whatever_step_it_dies_at_the_reaper_heals(room: Room, fault: str, step: str) -> None:
    with room.keeper(fault, *STEPS[step]) as keeper:
        assert keeper.wait(120) == -signal.SIGKILL, "the keeper never came to that step"
        wait_until(room.whole, within_s=HEALED_WITHIN_S, what="the healing")
        wait_until(no_journal, within_s=HEALED_WITHIN_S, what="the end of the journal")
    assert room.whole()
    assert room.untouched()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ON_POSTGRES)
def test_a_replica_is_healed_too(room: Room, replica: dict[str, str], fault: str, step: str) -> None:
    dsn = replica["postgres-replica"]
    before = postgres.upstream(dsn)
    with room.keeper(fault, *STEPS[step], dsns=replica) as keeper:
        assert keeper.wait(120) == -signal.SIGKILL, "the keeper never came to that step"
        wait_until(no_journal, within_s=HEALED_WITHIN_S, what="the healing")
    assert postgres.upstream(dsn) == before
    assert not postgres.is_replay_paused(dsn)


@pytest.mark.needs_docker
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ON_CONTAINERS)
def test_a_container_is_healed_too(tmp_path: Path, contained: str, port: int, fault: str, step: str) -> None:
    part = PartOf("valkey", 0, f"{HOST}:{port}", (), str(tmp_path / "valkey.log"), container=contained)
    dies, event = STEPS[step]
    task = Task(
        url="", experiment=experiment_file(tmp_path, fault), faults_path=str(tmp_path / "faults.json"),
        lease_s=LEASE_S, lasts_s=2.0, owner_pid=os.getpid(), step=dies, event=event, parts=(part,),
    )  # fmt: skip
    with at_work(task, tmp_path) as keeper:
        assert keeper.wait(120) == -signal.SIGKILL, "the keeper never came to that step"
        wait_until(no_journal, within_s=HEALED_WITHIN_S, what="the healing")
    wait_until(lambda: ping((HOST, port)), what="Valkey in its container")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_part_that_we_did_not_start_is_healed_too(tmp_path: Path, valkey: Valkey, fault: str, step: str) -> None:
    process = valkey.process
    assert process is not None
    assert isinstance(process.args, list)
    file = tmp_path / "valkey.pid"
    file.write_text(str(process.pid))
    start = f"{shlex.join([*process.args, '--pidfile', str(file)])} > /dev/null 2>&1 &"
    outside = OutsideProcess("valkey", str(file), start, str(tmp_path))
    part = PartOf("valkey", process.pid, valkey.address, (), str(tmp_path / "valkey.log"), outside=outside)
    dies, event = STEPS[step]
    task = Task(
        url="", experiment=experiment_file(tmp_path, fault), faults_path=str(tmp_path / "faults.json"),
        lease_s=LEASE_S, lasts_s=2.0, owner_pid=os.getpid(), step=dies, event=event, parts=(part,),
    )  # fmt: skip
    with at_work(task, tmp_path) as keeper:
        assert keeper.wait(120) == -signal.SIGKILL, "the keeper never came to that step"
        wait_until(no_journal, within_s=HEALED_WITHIN_S, what="the healing")
    wait_until(lambda: ping((HOST, valkey.port)), what="Valkey")
    healed = outside.find()
    assert healed is not None
    was_killed = fault == "kill" and step != "written, not yet injected"
    assert (healed.pid != process.pid) == was_killed
    os.kill(healed.pid, signal.SIGKILL)


@pytest.mark.parametrize("fault", [*ON_VALKEY, *ON_POSTGRES])
def test_a_keeper_that_lives_proves_and_heals_and_leaves_no_journal(
    room: Room, replica: dict[str, str], fault: str
) -> None:
    with room.keeper(fault, lasts_s=5.0, dsns=replica) as keeper:
        assert keeper.wait(120) == 0
    assert room.whole()
    assert no_journal()
    assert room.fault().proven, room.fault().error


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return install_example(tmp_path_factory.mktemp("site"))


@pytest.fixture
def with_plugin(example: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keepers and reapers that start from now on find the plugin."""
    for name, value in example.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("with_plugin")
@pytest.mark.parametrize("step", ["injected", "written, not yet injected"])
def test_a_fault_of_a_plugin_is_healed_too(room: Room, step: str) -> None:
    with room.keeper("plugin", *STEPS[step]) as keeper:
        assert keeper.wait(120) == -signal.SIGKILL, "the keeper never came to that step"
        wait_until(no_journal, within_s=HEALED_WITHIN_S, what="the healing")
    assert room.whole()
    assert room.untouched()


@pytest.mark.usefixtures("with_plugin")
def test_a_fault_of_a_plugin_is_proven_by_our_canary(room: Room) -> None:
    with room.keeper("plugin", lasts_s=5.0) as keeper:
        assert keeper.wait(120) == 0
    assert room.whole()
    assert no_journal()
    assert room.fault().proven, room.fault().error
    assert room.fault().injector == "plugin"


def in_force() -> bool:
    return any(lease.read(path).pending for path in state.journals())


def reaper_of(keeper: subprocess.Popen[bytes]) -> psutil.Process | None:
    for child in psutil.Process(keeper.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a dead one that nobody has waited for yet counts as none
            if "chaos.lease.reaper" in child.cmdline():
                return child
    return None


def test_a_keeper_that_hangs_loses_its_lease_and_says_so(room: Room) -> None:
    with room.keeper("disable", lasts_s=LEASE_S * 2 + 2) as keeper:
        wait_until(lambda: in_force() and not room.whole(), within_s=60, what="the fault")
        keeper.send_signal(signal.SIGSTOP)
        wait_until(room.whole, within_s=HEALED_WITHIN_S, what="the healing")
        keeper.send_signal(signal.SIGCONT)
        assert keeper.wait(120) == 0
    assert room.whole()
    assert not room.fault().proven
    assert no_journal()


def test_a_reaper_that_is_killed_is_replaced(room: Room) -> None:
    with room.keeper("disable", lasts_s=60) as keeper:
        wait_until(lambda: in_force() and not room.whole(), within_s=60, what="the fault")
        first = reaper_of(keeper)
        assert first is not None
        first.kill()

        def replaced() -> bool:
            now = reaper_of(keeper)
            return now is not None and now.pid != first.pid

        wait_until(replaced, within_s=HEALED_WITHIN_S, what="another reaper")
        keeper.kill()
        wait_until(lambda: room.whole() and no_journal(), within_s=60, what="the healing")
    assert room.untouched()


def test_the_reaper_ends_the_journal_of_a_keeper_that_is_not_quite_dead(tmp_path: Path) -> None:
    """A process that is killed closes its pipes some moments before the system calls it dead."""
    dying = lease.Lease(tmp_path / "faults.json", lease_s=60)
    assert len(state.journals()) == 1
    dying._pipe.close()
    assert dying.reaper.wait(HEALED_WITHIN_S) == 0
    assert no_journal()
    dying.close()


def test_a_lease_that_is_given_back_leaves_no_process_however_slow_its_reaper_is(tmp_path: Path) -> None:
    kept = lease.Lease(tmp_path / "faults.json", lease_s=60)
    reaper = psutil.Process(kept.reaper.pid)
    reaper.suspend()
    slow = threading.Timer(3.0, reaper.resume)
    slow.start()
    kept.close()
    slow.join()
    assert not reaper.is_running()


def gatecrash(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "harness", *arguments], cwd=ROOT, capture_output=True, text=True,
                          timeout=240, check=False)  # fmt: skip


@pytest.fixture
def abandoned(room: Room) -> Room:
    """A fault whose keeper and reaper are both dead."""
    with room.keeper("disable", lasts_s=60) as keeper:
        wait_until(lambda: in_force() and not room.whole(), within_s=60, what="the fault")
        keeper.send_signal(signal.SIGSTOP)  # so that it does not replace its reaper
        reaper = reaper_of(keeper)
        assert reaper is not None
        reaper.kill()
        keeper.kill()
        keeper.wait()
    assert in_force()
    return room


def test_with_both_dead_the_next_command_of_any_kind_heals(abandoned: Room) -> None:
    done = gatecrash("scenario", "list")
    assert done.returncode == 0
    assert "left in force, disable: enable the proxy redis" in done.stderr
    assert abandoned.whole()
    assert abandoned.untouched()
    assert no_journal()
    assert gatecrash("scenario", "list").stderr == ""


def test_status_tells_and_heal_undoes(abandoned: Room) -> None:
    told = gatecrash("chaos", "status")
    assert (told.returncode, told.stdout.count("\n")) == (0, 1)
    assert "disable: since" in told.stdout
    assert "its keeper is dead" in told.stdout
    assert not abandoned.whole()
    assert "enable the proxy redis" in gatecrash("chaos", "heal").stdout
    assert abandoned.whole()
    assert gatecrash("chaos", "status").stdout == "nothing is in force\n"
    assert gatecrash("chaos", "heal").stdout == "nothing to heal\n"


def test_what_changed_hands_is_left_alone(abandoned: Room) -> None:
    server = abandoned.server
    server.call("DELETE", "/proxies/redis")
    server.create("redis", abandoned.valkey.address, enabled=False)
    done = gatecrash("chaos", "heal")
    assert done.returncode == 0
    assert "left alone: the proxy redis is another now" in done.stdout
    assert server.call("GET", "/proxies/redis").json()["enabled"] is False
    assert no_journal()


def test_what_cannot_be_healed_stays_in_the_journal_and_is_said(abandoned: Room) -> None:
    process = abandoned.server.process
    process.send_signal(signal.SIGSTOP)
    try:
        done = gatecrash("chaos", "heal")
    finally:
        process.send_signal(signal.SIGCONT)
    assert done.returncode == 1
    assert "may still be in force" in done.stderr
    assert in_force()
    assert gatecrash("chaos", "heal").returncode == 0
    assert abandoned.whole()


def test_a_living_keeper_is_left_to_heal_itself_unless_all_is_said(room: Room) -> None:
    with room.keeper("disable", lasts_s=60):
        wait_until(lambda: in_force() and not room.whole(), within_s=60, what="the fault")
        assert gatecrash("chaos", "heal").stdout == "nothing to heal\n"
        assert not room.whole()
        assert gatecrash("chaos", "heal", "--all").returncode == 0
        assert room.whole()


def torn(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def test_a_line_cut_short_announces_nothing(abandoned: Room) -> None:
    (path,) = state.journals()
    torn(path, lambda text: text + b'{"record":"intended","numb')
    assert len(lease.read(path).pending) == 1
    assert gatecrash("chaos", "heal").returncode == 0
    assert abandoned.whole()


def test_a_journal_of_another_version_is_one_clear_line(own_state: Path) -> None:
    (own_state / "leases").mkdir(parents=True)
    (own_state / "leases" / "x.journal").write_text('{"record":"opened","what":"else"}\n')
    done = gatecrash("chaos", "heal")
    assert done.returncode == 2
    assert "x.journal:1: cannot be understood" in done.stderr
    assert gatecrash("scenario", "list").returncode == 0


def test_the_journal_is_for_its_owner_alone(room: Room) -> None:
    with room.keeper("kill", lasts_s=60):
        wait_until(in_force, within_s=60, what="the fault")
        (path,) = state.journals()
        assert path.stat().st_mode & 0o777 == 0o600

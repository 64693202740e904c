"""Random deaths: a process of a rehearsal is killed, told to stop, or stopped for a while, at a random phase.

Each run draws who it is, when, and by which signal, and whether the faults go through an external Toxiproxy. Afterwards
no fault is in force, no process and no file is left, the exit code is right and one sentence says what happened.

Outcomes are kept in bench-results/trust-deaths.jsonl, one a line. A figure that was interrupted goes on after the last
one of the same seed and the same sources.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import psutil
import requests

from chaos.lease import lease
from chaos.lease.lease import LEASE_S
from harness.errors import InputError
from harness.processes.ports import HOST, free_ports
from harness.record.collecting.versions import sources_digest
from harness.record.paths import RunPaths
from harness.stack.reference import workspace
from tests.trust.rehearsed import FILES, ROOT, Ended, end, run_below, start, violated

PHASES: Final = ("raise", "arm", "release", "selling", "fault", "settle", "judge")
RUNNING: Final = PHASES[1:-1]
OURS: Final[dict[str, Sequence[str]]] = {
    "gatecrash": PHASES,
    "swarm master": RUNNING,
    "swarm worker": RUNNING,
    "reaper": ("arm", "release", "selling", "fault"),
    "fault-proxy": ("raise", *RUNNING),
    "proxy-keeper": ("raise", *RUNNING),
}
"""Each process of gatecrash's own, and the phases in which it lives."""
PLATFORM: Final = ("valkey", "postgres-primary", "postgres-replica", "payments", "booking", "worker", "feed-1")
SIGNALS: Final = ("KILL", "TERM", "HUP", "INT twice", "STOP CONT")
EXPERIMENTS: Final = ("redis-down", "redis-hang", "redis-kill", "feed-node-loss", "payment-errors", "slow-network")
SEED: Final = 14
TIMES: Final = 100
OUTCOMES: Final = ROOT / "bench-results" / "trust-deaths.jsonl"
WORDS: Final = {0: "READY", 1: "NOT READY", 3: "NO VERDICT"}
_OURS_RATIO: Final = 0.75
_EXTERNAL_RATIO: Final = 0.3
_PHASE_WITHIN_S: Final = 180.0
_GONE_WITHIN_S: Final = 30.0
_GRACE_S: Final = 2.0
_FAULT_S: Final = 5.0
_DURATION_S: Final = 18.0
_STOPPED_S: Final = (1.0, LEASE_S + 3.0)
_POLL_S: Final = 0.02


class Death(NamedTuple):
    """What happens to which process, when. `later_s`: how long after the phase began. `stopped_s`: of STOP CONT."""

    process: str
    phase: str
    signal: str
    experiment: str
    external: bool
    later_s: float
    stopped_s: float

    @property
    def name(self) -> str:
        """What to call it."""
        how = f"STOP for {self.stopped_s:.0f} s, CONT" if self.signal == "STOP CONT" else self.signal
        where = ", external Toxiproxy" if self.external else ""
        return f"{how}: {self.process} at {self.phase} + {self.later_s:.1f} s ({self.experiment}{where})"


class Outcome(msgspec.Struct, frozen=True):
    """What came of one; `wrong` is empty where the tool behaved. `sources`: a digest of what was tried."""

    seed: int
    number: int
    sources: str
    name: str
    code: int
    verdict: str
    sentence: str
    healed_s: float | None
    wrong: tuple[str, ...]


def drawn(seed: int, times: int) -> list[Death]:
    """So many deaths, always the same ones for a seed; a longer list begins with the shorter."""
    dice = random.Random(f"deaths-{seed}")
    return [_draw(dice) for _ in range(times)]


def _draw(dice: random.Random) -> Death:
    external = dice.random() < _EXTERNAL_RATIO
    foreign = "fault-proxy" if external else "proxy-keeper"  # an external server is not ours; ours needs no keeper
    ours = [one for one in (*OURS, "gatecrash", "gatecrash") if one != foreign]
    process = dice.choice(ours if dice.random() < _OURS_RATIO else PLATFORM)
    return Death(
        process=process,
        phase=dice.choice(OURS.get(process, RUNNING)),
        signal=dice.choice(SIGNALS),
        experiment=dice.choice(EXPERIMENTS),
        external=external,
        later_s=round(dice.uniform(0.0, 1.0), 2),
        stopped_s=round(dice.uniform(*_STOPPED_S), 1),
    )


def measure(out: Path, jobs: int, times: int | None, seed: int = SEED) -> dict:
    """Goes on after what was kept of the same seed and sources."""
    sources = sources_digest(ROOT, ("harness", "chaos", "target", "scenarios"))
    deaths = drawn(seed, times or TIMES)
    done = {one.number: one for one in _kept() if (one.seed, one.sources) == (seed, sources)}
    left = [number for number in range(len(deaths)) if number not in done]

    def one(number: int) -> Outcome:
        outcome = _carried_out(seed, number, sources, deaths[number], out / f"{number}")
        _keep(outcome)
        return outcome

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        done |= {outcome.number: outcome for outcome in pool.map(one, left)}
    outcomes = [done[number] for number in range(len(deaths))]
    wrong = {f"{one.number}: {one.name}": list(one.wrong) for one in outcomes if one.wrong}
    healed = [one.healed_s for one in outcomes if one.healed_s is not None]
    return {
        "as_it_must_be": not wrong,
        "sentence": f"{len(outcomes)} deaths with seed {seed}: {len(outcomes) - len(wrong)} as it must be, "
        f"{len(wrong)} wrong; {len(healed)} with a fault in force, healed after at most {max(healed, default=0):.1f} s",
        "wrong": wrong,
        "sources": sources,
        "outcomes": msgspec.to_builtins(outcomes),
    }


def _kept() -> Iterator[Outcome]:
    for line in OUTCOMES.read_bytes().splitlines() if OUTCOMES.exists() else ():
        with suppress(msgspec.DecodeError):  # a line that was cut short
            yield msgspec.json.decode(line, type=Outcome)


def _keep(outcome: Outcome) -> None:
    with OUTCOMES.open("ab") as file:
        file.write(msgspec.json.encode(outcome) + b"\n")


class _Room:
    """One rehearsal's directories, environment and external server."""

    def __init__(self, out: Path, death: Death) -> None:
        self.out = out
        self.temporary = out / "tmp"
        self.state = out / "state"
        self.death = death
        self.toxiproxy = ""

    @contextmanager
    def opened(self) -> Iterator[subprocess.Popen[str]]:
        """The rehearsal, begun. An external Toxiproxy outlives it."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.temporary.chmod(0o711)
        with _toxiproxy(self.out) if self.death.external else contextlib.nullcontext("") as self.toxiproxy:
            experiment = f"faults.0.experiment={self.death.experiment}"
            asked = [experiment, f"faults.0.length_s={_FAULT_S:g}", f"duration_s={_DURATION_S:g}"]
            changes = [word for change in asked for word in ("--set", change)]
            yield start(self.out, "smoke", "--seed", "7", *changes, temporary=self.temporary, extra=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """What commands of this room get on top of ours."""
        return {"GATECRASH_STATE": str(self.state), "GATECRASH_TOXIPROXY": self.toxiproxy}

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """Every living process of the rehearsal with its name, by its temporary directory."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and self._owns(process):
                    found.append((_name_of(process), process))
        return found

    def _owns(self, process: psutil.Process) -> bool:
        place = str(self.temporary)
        return (
            process.environ().get("TMPDIR") == place or process.cwd().startswith(place) or place in _words(process)
        ) and process.pid != os.getpid()

    def in_force(self) -> bool:
        """Whether a fault may be in force, as the journals say."""
        return any(self._pending(path) for path in (self.state / "leases").glob("*.journal"))

    def _pending(self, path: Path) -> bool:
        try:
            return bool(lease.read(path).pending)
        except (FileNotFoundError, InputError):
            return False


@contextmanager
def _toxiproxy(out: Path) -> Iterator[str]:
    """A fault proxy that runs by itself; its address."""
    port = free_ports(1)[0]
    with (out / "toxiproxy.log").open("wb") as log:
        command = [sys.executable, "-m", "chaos.proxy", "--host", HOST, "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline_s = time.monotonic() + 30.0
        while _proxies(f"{HOST}:{port}") is None and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        yield f"{HOST}:{port}"
    finally:
        process.terminate()
        process.wait()


def _proxies(server: str) -> dict | None:
    """What it has; None when it does not answer."""
    try:
        return requests.get(f"http://{server}/proxies", timeout=5).json()
    except (requests.RequestException, ValueError):
        return None


def _carried_out(seed: int, number: int, sources: str, death: Death, out: Path) -> Outcome:
    shutil.rmtree(out, ignore_errors=True)  # of a figure that was interrupted
    room = _Room(out, death)
    healed_s: float | None = None
    wrong: list[str] = []
    with room.opened() as process:
        try:
            victims = _await(room, process)
            was_in_force = room.in_force()
            struck_s = time.monotonic()
            _strike(death, victims)
            if was_in_force:
                healed_s = _healed_after_s(room, struck_s)
        except TimeoutError as error:
            wrong.append(str(error))
        ended = end(process, out)
        (out / "stdout").write_text(ended.stdout)
        (out / "stderr").write_text(ended.stderr)
        if not wrong:
            wrong += [*_of_the_faults(death, healed_s), *_of_the_end(death, ended), *_of_what_is_left(room, ended)]
            wrong += _of_the_next_start(room, ended) if ended.code == -signal.SIGKILL else []
    outcome = Outcome(
        seed, number, sources, death.name, ended.code, str(ended.verdict.get("verdict", "")),
        str(ended.verdict.get("reason") or ended.sentence), healed_s, tuple(wrong),
    )  # fmt: skip
    said = "; ".join(wrong) or "as it must be"
    print(f"{number}: {death.name}: exit {ended.code}: {said}", file=sys.stderr, flush=True)
    return outcome


def _await(room: _Room, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The victims, at their moment. Raises TimeoutError."""
    death = room.death
    deadline_s = time.monotonic() + _PHASE_WITHIN_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if _is_at(death.phase, room) and any(name == death.process for name, _ in room.processes()):
            time.sleep(death.later_s)  # a random moment of the phase
            victims = [one for name, one in room.processes() if name == death.process]
            if victims and process.poll() is None:
                return victims
        time.sleep(_POLL_S)
    raise TimeoutError(f"the rehearsal never came to {death.phase} with a {death.process}")


def _is_at(phase: str, room: _Room) -> bool:
    run = run_below(room.out)
    try:
        document = json.loads((run / "run.json").read_text()) if run else {}
    except (OSError, ValueError):
        return False
    if run is None:  # still being loaded: nothing has begun
        return False
    if phase == "raise":
        return True
    t0 = document.get("t0")
    released = bool(t0) and datetime.fromisoformat(t0) <= datetime.now(UTC)
    names = {one["name"] for one in document.get("phases", ())}
    match phase:
        case "arm":
            return bool(document.get("processes"))
        case "release":
            return released
        case "selling":
            return released and _sells(run)
        case "fault":
            return room.in_force()
        case "settle":
            return "settle" in names
        case _:
            return bool(document.get("complete"))


def _sells(run: Path) -> bool:
    try:
        return b'"order_id":' in RunPaths(root=run).live_table("operations").read_bytes()
    except OSError:
        return False


def _name_of(process: psutil.Process) -> str:
    """As `OURS` and `PLATFORM` call it; "" for any other."""
    words = process.cmdline()
    if "-m" in words[:-1]:
        at = words.index("-m") + 1
        module, rest = words[at], words[at + 1 :]
        if module == "target":
            return process.environ().get("TARGET_NODE", "") if rest else ""
        return {
            "harness": "gatecrash",
            "harness.swarm": "swarm master",
            "harness.swarm.control.worker": "swarm worker",
            "chaos.lease.reaper": "reaper",
            "chaos.proxy": "fault-proxy",
            "harness.stack.proxy_keeper": "proxy-keeper",
        }.get(module, "")
    program = Path(words[0]).name if words else ""
    if program == "postgres" and "-D" in words:
        return f"postgres-{Path(words[words.index('-D') + 1]).name}"
    return "valkey" if program.startswith("valkey-server") else ""


def _words(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def _strike(death: Death, victims: Sequence[psutil.Process]) -> None:
    match death.signal:
        case "INT twice":
            _send(victims, signal.SIGINT)
            time.sleep(0.3)
            _send(victims, signal.SIGINT)
        case "STOP CONT":
            _send(victims, signal.SIGSTOP)
            time.sleep(death.stopped_s)
            _send(victims, signal.SIGCONT)
        case name:
            _send(victims, signal.Signals[f"SIG{name}"])


def _send(victims: Sequence[psutil.Process], number: signal.Signals) -> None:
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(number)


def _healed_after_s(room: _Room, since_s: float) -> float:
    while room.in_force() and time.monotonic() - since_s < 6 * LEASE_S:
        time.sleep(_POLL_S)
    return round(time.monotonic() - since_s, 2)


def _of_the_faults(death: Death, healed_s: float | None) -> Iterator[str]:
    """A part that is stopped can be healed only once it goes on."""
    waits_s = death.stopped_s if death.signal == "STOP CONT" else 0.0
    if healed_s is not None and healed_s > waits_s + LEASE_S + _GRACE_S:
        yield f"a fault was in force for {healed_s:.1f} s"


def _of_the_end(death: Death, ended: Ended) -> Iterator[str]:
    told_to_stop = death.process == "gatecrash" and death.signal in ("TERM", "HUP", "INT twice")
    killed = death.process == "gatecrash" and death.signal == "KILL"
    if "Traceback" in ended.stderr:
        yield "a traceback"
    if killed:
        if ended.code != -signal.SIGKILL:
            yield f"exit code {ended.code} of a kill"
        return
    if told_to_stop:
        yield from _of_a_stop(ended)
    elif death.phase == "raise" and ended.code == 2:
        yield from _of_a_stack_that_did_not_rise(ended)
    else:
        yield from _of_a_verdict(ended)
    if ended.missing:
        yield f"missing: {', '.join(ended.missing)}"
    if violated(ended):
        yield f"violated: {', '.join(violated(ended))}"


def _of_a_stop(ended: Ended) -> Iterator[str]:
    """Interrupted; or the verdict was there before the signal, and that is what is said."""
    last = (ended.stderr.strip().splitlines() or [""])[-1]
    if ended.code != 130:
        yield f"exit code {ended.code} after a stop signal"
    elif not last.startswith("gatecrash: interrupted"):
        yield f"the last line is not about the interruption: {last!r}"
    if ended.verdict.get("verdict") == "READY":
        yield "READY though it was interrupted"
    if ended.stderr.count(": stopping; ") != 1:
        yield f"the stop was heard {ended.stderr.count(': stopping; ')} times"


def _of_a_stack_that_did_not_rise(ended: Ended) -> Iterator[str]:
    last = (ended.stderr.strip().splitlines() or [""])[-1]
    if not last.startswith("gatecrash: "):
        yield f"the last line does not say what died: {last!r}"
    if ended.verdict.get("verdict") != "NO VERDICT":
        yield f"{ended.verdict.get('verdict')} of a platform that was not raised"


def _of_a_verdict(ended: Ended) -> Iterator[str]:
    word, reason = ended.verdict.get("verdict"), ended.verdict.get("reason", "")
    if ended.code not in WORDS:
        yield f"exit code {ended.code}: {ended.sentence}"
    elif word != WORDS[ended.code]:
        yield f"exit code {ended.code} of {word}"
    if not reason or reason not in ended.stdout:
        yield "silence: no reason on stdout"
    if ended.code == 0 and not ended.sold:
        yield "READY though nothing was sold"


def _of_what_is_left(room: _Room, ended: Ended) -> Iterator[str]:
    left = room.processes()
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    while (left or room.in_force()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
        left = room.processes()
    if left:
        yield f"left running: {', '.join(name or _words(one)[:80] for name, one in left)}"
    if journals := list((room.state / "leases").glob("*")):
        yield f"left: {', '.join(path.name for path in journals)}"
    if room.death.external and (proxies := _proxies(room.toxiproxy)) != {}:
        yield "the external Toxiproxy died" if proxies is None else f"left in Toxiproxy: {', '.join(proxies)}"
    killed = ended.code == -signal.SIGKILL
    stays = [path.name for path in room.temporary.iterdir()]
    if stays and not killed:
        yield f"left in TMPDIR: {', '.join(stays)}"
    if ended.run is not None:
        again = ("swarm.json", "*.partial", *(() if killed else ("reserve",)))
        found = [path.name for pattern in again for path in ended.run.rglob(pattern)]
        if found:
            yield f"left in the run directory: {', '.join(found)}"


def _of_the_next_start(room: _Room, ended: Ended) -> Iterator[str]:
    """After a SIGKILL: what was recorded is judged, and the next rehearsal removes what lies about."""
    if ended.run is not None:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "report", str(ended.run)],
            env={**os.environ, "TMPDIR": str(room.temporary), "PYTHONPATH": str(ROOT), **room.environment},
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        complete = json.loads((ended.run / "run.json").read_text()).get("complete")
        if done.returncode not in ((0, 1, 3) if complete else (1, 3)) or "Traceback" in done.stderr:
            yield f"`report` ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"
        elif missing := [name for name in FILES if not (ended.run / name).exists()]:
            yield f"`report` left no {', '.join(missing)}"
    for folder in workspace.remove_orphans(room.temporary):
        print(f"   removed {folder.name}", file=sys.stderr)
    if stays := [path.name for path in room.temporary.iterdir()]:
        yield f"left in TMPDIR for ever: {', '.join(stays)}"

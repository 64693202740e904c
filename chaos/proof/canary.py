"""Canaries: probes of the broken component that run beside the load, so that a fault is proven and not assumed.

Each canary has its own thread, from shortly before the fault until it has seen the fault healed. It only gathers
samples; `chaos.proof.proof` decides what they prove.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from chaos.proof import probes
from chaos.proof.process_probe import ProcessPlace, ProcessProbe
from chaos.proof.proof import Proof, healed_s, is_healthy, prove
from chaos.proof.replica_probe import ReplicaProbe, Replication, replica
from chaos.specification.experiment import FAILING_PERIOD_S, CanarySpec
from harness.record.schema import CanarySample

_PERIOD_S: Final = 0.1
_SLOW_PERIOD_S: Final = 0.25
_PROCESS_PERIOD_S: Final = 0.05
_STAYS_S: Final = 0.7
"""How long a connection must stay open by itself before canaries hold such ones."""
_TIMEOUT_S: Final = 1.0
_OVERLAP_MAX: Final = 64

Clock = Callable[[], float]
Address = tuple[str, int]
Place = Address | Replication | ProcessPlace
"""Where a canary probes."""


def probe(spec: CanarySpec, place: Place, timeout_s: float) -> probes.Reading:
    """Make one probe of this kind."""
    if isinstance(place, Replication):
        return replica(place, timeout_s)
    if isinstance(place, ProcessPlace):
        looking = _process_probe(spec, place, timeout_s)
        try:
            return looking.read()
        finally:
            looking.close()
    if spec.effective == "dropped":
        return probes.held(lambda: probes.open_to_hold(spec.probe, place, timeout_s, spec.path), _STAYS_S)
    return _ask(spec, place, timeout_s)


def _ask(spec: CanarySpec, address: Address, timeout_s: float) -> probes.Reading:
    """Make one probe at an address."""
    match spec.probe:
        case "redis":
            return probes.redis(address, timeout_s)
        case "postgres":
            return probes.postgres(address, timeout_s)
        case "http":
            return probes.http_get(address, timeout_s, spec.path)
        case "websocket":
            return probes.websocket(address, timeout_s, spec.path)
        case "tcp":
            return probes.tcp(address, timeout_s)
        case "replica" | "process":
            raise TypeError(f"a {spec.probe} is not probed by an address")


def _process_probe(spec: CanarySpec, place: ProcessPlace, timeout_s: float) -> ProcessProbe:
    """The probe of a process; when `spec.probe` is not `process`, the part's address must answer too."""
    host, _, port = place.part.address.rpartition(":")
    asked = None if spec.probe == "process" else (lambda: _ask(spec, (host, int(port)), timeout_s))
    return ProcessProbe(place, asked, restarts=spec.effective == "restarted")


class Canary:
    """Gathers samples in a thread of its own. `clock` tells T0 seconds."""

    def __init__(self, spec: CanarySpec, place: Place, clock: Clock) -> None:
        self.spec = spec
        self._place = place
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: list[CanarySample] = []
        self._injected_s: float | None = None
        self._heal_requested_s: float | None = None
        self._healed = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"canary-{spec.place}", daemon=True)

    def start(self) -> None:
        """Begin to probe."""
        self._thread.start()

    def injected(self, t_s: float) -> None:
        """The fault is being injected: samples from now on may show it."""
        self._injected_s = t_s

    def heal_requested(self, t_s: float) -> None:
        """The fault is being healed: go on until that is seen."""
        with self._lock:
            self._heal_requested_s = t_s

    def wait_healed(self, within_s: float) -> bool:
        """Wait until a probe saw the fault gone."""
        return self._healed.wait(max(0.0, within_s))

    def stop(self) -> None:
        """End the thread. Probes still under way are given up."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_TIMEOUT_S * 3)

    def samples(self) -> tuple[CanarySample, ...]:
        """The samples so far, in the order in which the probes were begun."""
        with self._lock:
            return tuple(sorted(self._samples, key=lambda sample: sample.t_s))

    def proof(self) -> Proof:
        """The proof that the samples so far give."""
        return prove(self.spec, self.samples(), self._injected_s, self._heal_requested_s)

    def _run(self) -> None:
        period_s = {"slow": _SLOW_PERIOD_S, "failing": FAILING_PERIOD_S}.get(self.spec.effective, _PERIOD_S)
        timeout_s = _TIMEOUT_S + self.spec.slow_ms_min / 1000 * 1.5
        pool = ThreadPoolExecutor(max_workers=_OVERLAP_MAX, thread_name_prefix="probe")
        try:
            while not self._stop.is_set() and not self._healed.is_set():
                pool.submit(self._probe_once, timeout_s)
                hurried = self._heal_requested_s is not None
                self._stop.wait(min(_PERIOD_S, period_s) if hurried else period_s)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _probe_once(self, timeout_s: float) -> None:
        t_s = self._clock()
        reading = probe(self.spec, self._place, timeout_s)
        self._add(CanarySample(t_s=round(t_s, 4), state=reading.state, latency_ms=reading.latency_ms))

    def _add(self, sample: CanarySample) -> None:
        with self._lock:
            self._samples.append(sample)
            asked_s = self._heal_requested_s
        if asked_s is None or sample.t_s < asked_s or not is_healthy(self.spec, sample):
            return
        if healed_s(self.spec, self.samples(), asked_s) is not None:
            self._healed.set()


class Replica(Canary):
    """Writes to the primary and reads on the replica, over connections that it keeps, one probe at a time."""

    def _run(self) -> None:
        if not isinstance(self._place, Replication):
            raise TypeError("a replica is probed by its two servers")
        asked = ReplicaProbe(self._place)
        try:
            while not self._stop.is_set() and not self._healed.is_set():
                t_s = self._clock()
                reading = asked.read(_TIMEOUT_S)
                self._add(CanarySample(t_s=round(t_s, 4), state=reading.state, latency_ms=reading.latency_ms))
                self._stop.wait(_PERIOD_S)
        finally:
            asked.close()


class ProcessWatch(Canary):
    """Looks at a process, one probe at a time."""

    def _run(self) -> None:
        if not isinstance(self._place, ProcessPlace):
            raise TypeError("a process is looked at, not an address")
        looking = _process_probe(self.spec, self._place, _TIMEOUT_S)
        try:
            while not self._stop.is_set() and not self._healed.is_set():
                t_s = self._clock()
                reading = looking.read()
                self._add(CanarySample(t_s=round(t_s, 4), state=reading.state, latency_ms=reading.latency_ms))
                self._stop.wait(_PROCESS_PERIOD_S)
        finally:
            looking.close()


class HeldSockets(Canary):
    """Holds connections open through the proxy and notices which are cut; it opens a cut connection again.

    It pings on each connection that has a ping, because some proxies can cut a connection only when it carries data,
    and a feed may be quiet.
    """

    def _run(self) -> None:
        held = selectors.DefaultSelector()
        try:
            while not self._stop.is_set() and not self._healed.is_set():
                self._hold_all(held)
                _ping(held, _PINGS.get(self.spec.probe, b""))
                self._watch(held, self._clock() + _PERIOD_S)
        finally:
            for key in list(held.get_map().values()):
                _close(held, key.data)
            held.close()

    def _hold_all(self, held: selectors.BaseSelector) -> None:
        """Open the missing connections. One sample: whether all of them are held now."""
        address, t_s = self._place, self._clock()
        if isinstance(address, Replication | ProcessPlace):
            raise TypeError("sockets are held at an address")
        missing = self.spec.sockets - len(held.get_map())
        if not missing and self._heal_requested_s is None:
            return
        try:
            for _ in range(missing):
                link = probes.open_to_hold(self.spec.probe, address, _TIMEOUT_S, self.spec.path)
                link.setblocking(False)
                held.register(link, selectors.EVENT_READ, data=link)
        except OSError:
            return
        self._add(CanarySample(t_s=round(t_s, 4), state="ok", latency_ms=round((self._clock() - t_s) * 1000, 3)))

    def _watch(self, held: selectors.BaseSelector, until_s: float) -> None:
        """Read and drop the feed's data until `until_s`."""
        while (left_s := until_s - self._clock()) > 0 and not self._stop.is_set():
            if not held.get_map():
                self._stop.wait(left_s)
            for key, _ in held.select(left_s):
                if _is_cut(key.data):
                    self._add(CanarySample(t_s=round(self._clock(), 4), state="dropped"))
                    _close(held, key.data)


def _ping(held: selectors.BaseSelector, ping: bytes) -> None:
    """Send a ping on each connection; a cut one is noticed when it is read."""
    for key in held.get_map().values() if ping else ():
        with suppress(OSError):
            key.data.send(ping)


def _is_cut(link: socket.socket) -> bool:
    try:
        return not link.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _close(held: selectors.BaseSelector, link: socket.socket) -> None:
    held.unregister(link)
    with suppress(OSError):
        link.close()


_PINGS: Final = {"websocket": probes.PING, "redis": probes.REDIS_PING}
_CANARIES: Final[dict[str, type[Canary]]] = {"dropped": HeldSockets, "stale": Replica}


def canary_for(spec: CanarySpec, place: Place, clock: Clock) -> Canary:
    """The canary for this kind of effect."""
    kind = ProcessWatch if spec.looks_at_process else _CANARIES.get(spec.effective, Canary)
    return kind(spec, place, clock)


def wait_all_healed(canaries: Sequence[Canary], within_s: float) -> None:
    """Wait until every canary saw its fault gone, together no longer than `within_s`."""
    deadline_s = time.monotonic() + within_s
    for canary in canaries:
        canary.wait_healed(deadline_s - time.monotonic())

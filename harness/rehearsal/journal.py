"""Keeps run.json during the run: rewrites it at each step, so that a run cut short still says how far it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from harness.record.paths import RunPaths
from harness.record.reserve import give_back, reserve
from harness.record.schema import (
    OWN_SOURCE,
    SCHEMA_VERSION,
    Anomaly,
    Phase,
    PluginVersion,
    ProcessInfo,
    RunDocument,
    SelfTestSummary,
    TraceSummary,
)
from harness.record.seal import control_seal, seal
from harness.record.writer import write_document
from harness.scenario import OwnPlatform, Scenario
from harness.swarm.messaging.protocol import Finished, Release, Settled

_OBSERVE: Final = "observe"


class RunJournal:
    """Keeps the run document. Phases before T0 are known in T0 seconds only once T0 is, and are written then."""

    def __init__(
        self,
        paths: RunPaths,
        scenario: Scenario,
        command: Sequence[str],
        versions: dict[str, str],
        stack: str,
        selftest: SelfTestSummary | None = None,
        plugins: tuple[PluginVersion, ...] = (),
    ) -> None:
        self.paths = paths
        self._lock = threading.Lock()
        self._t0_monotonic_s: float | None = None
        self._has_begun = False
        self._marks: list[tuple[str, float]] = [("raise", time.monotonic())]
        self._document = RunDocument(
            schema=SCHEMA_VERSION,
            run_id=paths.run_id,
            scenario_name=scenario.name,
            scenario=msgspec.to_builtins(scenario, str_keys=True),
            seed=scenario.seed,
            t0=None,
            command=tuple(command),
            versions=versions,
            capabilities=(),
            stack=stack,
            selftest=selftest,
            plugins=plugins,
        )
        paths.logs.mkdir(exist_ok=True)
        reserve(paths)
        self._write()

    @property
    def has_begun(self) -> bool:
        """Whether the platform was up at some time: an error after that is not the user's mistake."""
        return self._has_begun

    def stack_is_up(self, processes: Sequence[ProcessInfo]) -> None:
        """The platform answers; these are its processes."""
        self._has_begun = True
        self._update(processes=tuple(processes))

    def is_own(self, platform: OwnPlatform) -> None:
        """Note the settings of a platform of the user's own after its preparation."""
        scenario = {**self._document.scenario, "platform": msgspec.to_builtins(platform, str_keys=True)}
        self._update(scenario=scenario)

    def phase(self, name: str) -> None:
        """A new phase begins now; the phase before it ends."""
        self._marks.append((name, time.monotonic()))
        self._update(phases=self._phases())

    def released(self, release: Release) -> None:
        """T0 is set."""
        self._t0_monotonic_s = release.t0_monotonic_s
        self._marks.append((_OBSERVE, release.t0_monotonic_s))
        t0 = datetime.fromtimestamp(release.t0_wall_s, UTC).isoformat(timespec="milliseconds")
        self._update(t0=t0.replace("+00:00", "Z"), phases=self._phases())

    def finished(self, finished: Finished) -> None:
        """The journeys are over."""
        self._update(
            load=finished.load,
            capabilities=finished.capabilities,
            journey_digest=finished.journey_digest,
            clock_offsets_ms=finished.clock_offsets_ms,
        )
        self._say("swarm", finished.notes)

    def settled(self, settled: Settled) -> None:
        """The platform is at rest, or did not come to rest in time."""
        unrest = () if settled.at_rest else settled.notes or ("the platform did not say that it was at rest",)
        self._update(
            load=settled.load,
            seat_map_at_rest=settled.seat_map,
            at_rest=settled.at_rest,
            unrest=unrest,
            foreign_owners=settled.foreign_owners,
        )
        self._say("settle", settled.notes)

    def note(self, anomaly: Anomaly) -> None:
        """Note an anomaly for the reader; it gets the present time when it has none."""
        if anomaly.t_s is None and self._t0_monotonic_s is not None:
            anomaly = msgspec.structs.replace(anomaly, t_s=time.monotonic() - self._t0_monotonic_s)
        self._update(anomalies=(*self._document.anomalies, anomaly))

    def traced(self, summary: TraceSummary | None) -> None:
        """What was kept of the traces."""
        self._update(traces=summary)

    def ended_early(self, text: str) -> None:
        """Note why the run ended early; frees the disk space that was reserved for this."""
        give_back(self.paths)
        self.note(Anomaly(t_s=None, source=OWN_SOURCE, text=text))

    def complete(self) -> None:
        """Mark the record as complete: every part was written. Seals the files as they are now.

        The seal of a paired run covers the seal of its control, so that no other record passes for the control.
        """
        give_back(self.paths)
        self._marks.append(("end", time.monotonic()))
        try:
            self._update(phases=self._phases(), control_sealed=control_seal(self.paths), complete=True)
        except BaseException:
            self._document = msgspec.structs.replace(self._document, complete=False)
            raise

    def _say(self, source: str, texts: Sequence[str]) -> None:
        for text in texts:
            self.note(Anomaly(t_s=None, source=source, text=text))

    def _phases(self) -> tuple[Phase, ...]:
        t0_s = self._t0_monotonic_s
        if t0_s is None:
            return ()
        ends = [at for _, at in self._marks[1:]] + [time.monotonic()]
        spans = zip(self._marks, ends, strict=True)
        return tuple(
            Phase(name=name, t_start_s=start - t0_s, t_end_s=end - t0_s)
            for (name, start), end in spans
            if name != "end"
        )

    def _update(self, **changes: object) -> None:
        with self._lock:
            document = msgspec.structs.replace(self._document, **changes)
            self._document = seal(self.paths, document) if document.complete else document
            self._write()

    def _write(self) -> None:
        write_document(self.paths.run, self._document)

"""The experiments that this process injected through Chaos Toolkit, by name; they are healed when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
import pyarrow as pa

from chaos.injection.conductor import Conductor
from chaos.proof.expectations import judge
from chaos.specification.experiment import Experiment
from chaos.specification.timeline import WATCH_LEAD_S, Planned
from chaos.toolkit import definition
from chaos.toolkit.metrics import Metrics
from chaos.toolkit.platform import PlatformFile
from harness.errors import GatecrashError, NoVerdict
from harness.input_file import NOT_JSON
from harness.record.schema import SCHEMA_VERSION, TABLES, FaultRun, FaultsDocument
from harness.record.seal_key import for_our_own, stripped_environment
from harness.record.verdict import ExpectationResult, Verdict

_ROOT: Final = Path(__file__).resolve().parents[2]
_INJECTED_WITHIN_S: Final = WATCH_LEAD_S + 30.0
_LOOK_EVERY_S: Final = 0.05


class Broken(Protocol):
    """One experiment that was begun."""

    @property
    def doubt(self) -> str:
        """Why the experiment proves nothing; "" when it was effective and is healed."""

    @property
    def word(self) -> str:
        """Its verdict so far."""

    def expectations(self) -> tuple[ExpectationResult, ...]:
        """The state of each expectation by now."""


BROKEN: Final[dict[str, Broken]] = {}
"""All of this process. A failed beginning is here too, so that `proven` says it."""


class NotBegun(msgspec.Struct, frozen=True):
    """An experiment that could not be begun."""

    doubt: str

    @property
    def word(self) -> str:
        """No verdict: nothing was injected."""
        return "NO VERDICT"

    def expectations(self) -> tuple[ExpectationResult, ...]:
        """No expectations: none was observed."""
        return ()


class Injected:
    """An experiment with a conductor of its own: journal, reaper, guards, kill switch and canaries as in a rehearsal.

    It is healed after `length_s`, whether or not `heal` is called. Its result is in faults-NAME.json in the working
    directory, beside the journal of Chaos Toolkit.
    """

    def __init__(self, experiment: Experiment, platform: PlatformFile, length_s: float | None, lease_s: float) -> None:
        self._metrics = Metrics(platform.metrics)
        path = Path.cwd() / f"faults-{experiment.name}.json"
        planned = Planned(experiment, WATCH_LEAD_S, length_s, healed_on_request=True)
        self._conductor = Conductor([planned], platform, path, lease_s=lease_s)

    def begin(self) -> None:
        """Inject the faults; returns when that is done. Raises GatecrashError after healing all of them."""
        try:
            self._conductor.preflight()
            t0_monotonic_s = time.monotonic()
            self._metrics.start(t0_monotonic_s)
            self._conductor.start(t0_monotonic_s)
            self._wait_injected()
        except BaseException:
            self._conductor.finish()
            raise

    def heal(self) -> FaultRun:
        """Undo the faults and wait until that is seen; safe to do twice. Raises GatecrashError when one may be in
        force.
        """
        self._conductor.finish()
        if self._conductor.in_force():
            raise GatecrashError(self.run.error, hint="see `gatecrash chaos status`")
        return self.run

    @property
    def run(self) -> FaultRun:
        """Its state so far."""
        return self._conductor.runs()[0]

    @property
    def doubt(self) -> str:
        """See `Broken`."""
        return "it is still in force" if self._conductor.in_force() else self.run.error

    @property
    def word(self) -> str:
        """See `Broken`."""
        return "NO VERDICT" if self.doubt else "proven"

    def expectations(self) -> tuple[ExpectationResult, ...]:
        """Judged by the same judges as a rehearsal's, from what the platform's metrics say."""
        return judge(self)[0].expectations

    @property
    def faults(self) -> FaultsDocument:
        """For the judges."""
        return FaultsDocument(schema=SCHEMA_VERSION, faults=(self.run,))

    def table(self, name: str) -> pa.Table:
        """For the judges: the metrics; requests and streams are not known here."""
        return self._metrics.table() if name == "metrics" else TABLES[name].empty_table()

    def stream_rows(self, stream: str, columns: Sequence[str], *, encoded: bool = False) -> pa.Table:  # noqa: ARG002
        """For the judges: no streams are known here."""
        return TABLES["events"].empty_table().select(columns)

    def _wait_injected(self) -> None:
        deadline_s = time.monotonic() + _INJECTED_WITHIN_S
        while not self._conductor.begun():
            if time.monotonic() > deadline_s:
                raise GatecrashError("it was not injected in time", hint="this machine is too busy")
            threading.Event().wait(_LOOK_EVERY_S)
        if "not injected" in self.run.error:
            raise GatecrashError(self.run.error)


class Drilled:
    """A whole `gatecrash drill`: a stack of its own, a small steady load, every expectation, a verdict."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @classmethod
    def run(cls, experiment: Experiment, out: Path) -> Drilled:
        """Carry it out; takes half a minute and more. Raises GatecrashError when there is nothing to judge."""
        with tempfile.TemporaryDirectory() as folder:
            path = definition.write(definition.plain(experiment), Path(folder))
            stack = "compose" if experiment.needs_containers else "embedded"
            words = ("drill", str(path), "--stack", stack, "--out", str(out.resolve()), "--json")
            done = subprocess.run(
                [sys.executable, "-m", "harness", *words],
                cwd=_ROOT,
                env={
                    **stripped_environment(),
                    **for_our_own(),
                    "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
                },
                capture_output=True,
                check=False,
            )
        try:
            return cls(msgspec.json.decode(done.stdout, type=Verdict))
        except NOT_JSON:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise NoVerdict(said[-1] if said else f"the drill ended with exit code {done.returncode}") from None

    @property
    def doubt(self) -> str:
        """See `Broken`."""
        return self.verdict.reason if self.verdict.verdict == "NO VERDICT" else ""

    @property
    def word(self) -> str:
        """See `Broken`."""
        return self.verdict.verdict

    def expectations(self) -> tuple[ExpectationResult, ...]:
        """As the drill judged them."""
        return self.verdict.faults[0].expectations

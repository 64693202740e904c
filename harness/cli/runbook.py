"""`drill --rehearse-runbook`: alerts a person, and takes what the person types to the conductor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from harness.cli.live import PlainObserver
from harness.errors import InputError
from harness.fault_change import FaultChange
from harness.swarm.messaging.protocol import Progress

if TYPE_CHECKING:
    from chaos.injection.conductor import Conductor


def require_person(stdin: IO[str] | None) -> None:
    """Raises InputError where nobody can type."""
    if stdin is None or not stdin.isatty():
        hint = "call it in a terminal, without a pipe; a drill that heals by itself is `gatecrash drill NAME`"
        raise InputError("--rehearse-runbook waits for a person, and standard input is no terminal", hint=hint)


class RunbookObserver(PlainObserver):
    """Plain lines, so that a person can type between them; the alert comes when the fault is seen in force."""

    def __init__(self, duration_s: float, runbook: str, within_s: float) -> None:
        super().__init__(duration_s)
        self._runbook = runbook
        self._within_s = within_s
        self._conductor: Conductor | None = None
        self._reader: threading.Thread | None = None

    def follows(self, conductor: Conductor) -> None:
        """Tell this conductor what the person does."""
        self._conductor = conductor

    def progress(self, progress: Progress, changes: Sequence[FaultChange]) -> None:
        """One second of the run has passed."""
        super().progress(progress, changes)
        if self._reader is not None or self._conductor is None:
            return
        seen = next((run for run in self._conductor.runs() if run.t_effective_s is not None), None)
        if seen is not None:
            self.note(f"ALERT: {seen.experiment}, at T+{seen.t_effective_s:.1f} s. Runbook: {self._runbook}")
            self.note(f"press Enter when you have seen this; there are {self._within_s:g} s to mitigate it")
            self._reader = threading.Thread(target=self._listen, args=(self._conductor,), name="runbook", daemon=True)
            self._reader.start()

    def _listen(self, conductor: Conductor) -> None:
        """Until the person said what they did and the fault is undone, or nobody types any more."""
        if not sys.stdin.readline():
            return
        conductor.acknowledged()
        self.note("acknowledged. Follow the runbook: `gatecrash chaos heal --all` in another terminal undoes the fault")
        self.note("type what you did, and press Enter when it is mitigated")
        while line := sys.stdin.readline():
            said = " ".join(line.split())
            if not said:
                self.note("say in a few words what you did")
            elif conductor.mitigated(said):
                self.note("mitigated; the drill goes on until its end, to see when the sale is well again")
                return
            else:
                self.note("the fault is still in force, or the drill had to undo it itself; type again when it is not")

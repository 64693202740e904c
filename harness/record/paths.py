"""Paths of the files in a run directory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.record.schema import Struct

PRIVATE: Final = 0o700
"""The mode of a directory that nobody else on this machine may read."""

_CONTROL: Final = "control"


class RunPaths(Struct, frozen=True):
    """The files of one run directory."""

    root: Path

    @property
    def run_id(self) -> str:
        """The directory's name; for a control, with the name of its treatment before it."""
        return f"{self.root.parent.name}/{_CONTROL}" if self.root.name == _CONTROL else self.root.name

    @property
    def control(self) -> RunPaths:
        """The control of a paired run: a run directory of its own."""
        return RunPaths(root=self.root / _CONTROL)

    @property
    def run(self) -> Path:
        """run.json, see `RunDocument`."""
        return self.root / "run.json"

    @property
    def faults(self) -> Path:
        """faults.json, see `FaultsDocument`."""
        return self.root / "faults.json"

    @property
    def verdict(self) -> Path:
        """verdict.json, see `Verdict`."""
        return self.root / "verdict.json"

    @property
    def report_html(self) -> Path:
        """The readiness report for people."""
        return self.root / "report.html"

    @property
    def report_markdown(self) -> Path:
        """The report in brief, for a pull request."""
        return self.root / "report.md"

    @property
    def comment(self) -> Path:
        """The verdict and the findings to act on first, as a comment on a pull request."""
        return self.root / "comment.md"

    @property
    def junit(self) -> Path:
        """The report for a CI server."""
        return self.root / "junit.xml"

    @property
    def reserve(self) -> Path:
        """The file that reserves disk space for the end of the run, see `harness.record.reserve`."""
        return self.root / "reserve"

    @property
    def logs(self) -> Path:
        """One log file per process of the stack and of the swarm."""
        return self.root / "logs"

    def remove_partial(self) -> None:
        """Remove the files that nobody will finish. Only when all processes that write are over."""
        with suppress(OSError):
            for path in self.root.glob("*.partial"):
                path.unlink(missing_ok=True)

    def table(self, name: str) -> Path:
        """The finished table, Parquet."""
        return self.root / f"{name}.parquet"

    def live_table(self, name: str) -> Path:
        """The table while the run writes it, Arrow IPC stream."""
        return self.root / f"{name}.arrows"

    def progress(self, worker: int) -> Path:
        """How many requests one worker has sent, see `harness.swarm.recording.progress_file`."""
        return self.root / "spool" / f"sent-{worker}"

    def spool(self, name: str, worker: int) -> Path:
        """The rows that one worker keeps on its disk until the master has them, Arrow IPC stream."""
        return self.root / "spool" / f"{name}-{worker}.arrows"


def require_file(path: Path) -> None:
    """Raises InputError for a pipe, a device or a directory in place of a file; a missing file is allowed."""
    if path.exists() and not path.is_file():
        raise InputError("is no file", file=str(path), hint="restore the file, or rehearse again")

"""The parts of a platform of the user's own, as faults reach them: a container, or the process that a file names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import EnvironmentProblem
from harness.processes.outside import OutsideProcess
from harness.scenario import Part


class OwnPart:
    """One part; a `Part` of `chaos.injectors.stack_control`. Nothing of it was started by us.

    `folder`: that of the scenario, in which the part's `start` is run and which its `pid_file` is relative to.
    """

    command: Final = ()
    env: Final = None
    cwd: Final = None
    user: Final = None
    log: Final = Path("/dev/null")

    def __init__(self, name: str, spec: Part, folder: Path) -> None:
        self.name = name
        self.container = spec.container
        self.address = spec.address or ""
        self.outside = (
            OutsideProcess(name, str(folder / spec.pid_file), spec.start, str(folder)) if spec.pid_file else None
        )

    @property
    def pid(self) -> int:
        """The id that its file has now. Raises EnvironmentProblem when it does not run or is not ours to signal."""
        return self._process.require().pid

    @property
    def running(self) -> bool:
        """Whether it lives. Raises EnvironmentProblem."""
        return self._process.find() is not None

    def kill(self) -> None:
        """Always raises: `chaos.faults.outside` kills such a process by its id and start."""
        raise EnvironmentProblem(f"{self.name} was not started by us")

    def start_again(self) -> None:
        """Always raises, see `kill`."""
        raise EnvironmentProblem(f"{self.name} was not started by us")

    @property
    def _process(self) -> OutsideProcess:
        if self.outside is None:
            raise EnvironmentProblem(f"{self.name} is the container {self.container}: ask its engine")
        return self.outside

"""One container of a stack, as whoever breaks things sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from docker.models.containers import Container


class ContainerPart:
    """`address`: host:port on this machine, past every fault proxy. A container carries its own command and settings:
    there is nothing else that one would need to start it again."""

    command: Final[tuple[str, ...]] = ()
    env: Final[dict[str, str] | None] = None
    cwd: Final[Path | None] = None
    user: Final[str | None] = None

    def __init__(self, name: str, container: Container, address: str, log: Path) -> None:
        self.name = name
        self.address = address
        self.log = log
        self._container = container

    @property
    def container(self) -> str:
        """Its id."""
        return str(self._container.id)

    @property
    def pid(self) -> int:
        """Its main process, as the engine's host numbers it; 0 while it does not run."""
        self._container.reload()
        return int(self._container.attrs["State"]["Pid"])

    @property
    def running(self) -> bool:
        """Whether it runs."""
        self._container.reload()
        return bool(self._container.attrs["State"]["Running"])

    def kill(self) -> None:
        """SIGKILL."""
        self._container.kill()

    def start_again(self) -> None:
        """Start it as it was made."""
        self._container.start()

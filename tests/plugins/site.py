"""Folders on Python's path in which plugins are installed, and gatecrash run with them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(__file__).parent / "example"


@dataclass(frozen=True)
class Site:
    """What is on the path beside the environment of the tests."""

    folders: tuple[Path, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join(map(str, (*self.folders, ROOT)))}

    def beside(self, other: Site) -> Site:
        return Site((*self.folders, *other.folders))

    def gatecrash(self, *words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=cwd, env={**os.environ, **self.environment},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip


def install_example(folder: Path) -> Site:
    """The example, by pip, from its sources."""
    command = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *command, str(EXAMPLE)], check=True, timeout=120)
    return Site((folder,))

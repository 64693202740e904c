"""Hatchling's build hook: a wheel and a source archive carry the commit that they were built from."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the builder loads this file by its path

from harness.commit import FILE, commit_of

PLACES: Final = {"wheel": f"gatecrash/_tree/{FILE}", "sdist": FILE}


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the file COMMIT, where the commit is known."""

    _written: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the build: a COMMIT that lies there already, from a source archive, or that of the checkout."""
        known = commit_of(Path(self.root))
        place = PLACES.get(self.target_name)
        if known and place and version == "standard":
            with NamedTemporaryFile("w", encoding="utf-8", delete=False) as file:
                file.write(known + "\n")
            self._written = Path(file.name)
            build_data["force_include"][file.name] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """After the build."""
        if self._written is not None:
            self._written.unlink()

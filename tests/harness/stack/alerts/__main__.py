"""Keeps of a run's metrics those that the alerts look at, and when each of its faults was in force."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.harness.stack.alerts.recorded import FOLDER, of_run, text

run, name = sys.argv[1:]
(FOLDER / f"{name}.json").write_text(text(of_run(Path(run))), encoding="utf-8")

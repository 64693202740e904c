"""The pages that are made from the code, and how."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from chaos.specification.experiment import Experiment
from harness.record.verdict import Verdict
from harness.runs.lessons import Lessons
from harness.scenario.file import Scenario
from tests.reference import adapter, catalogue, commands, files

_FOLDER: Final = adapter.ROOT / "docs" / "reference"
SCHEMAS: Final = _FOLDER / "schemas"
PAGES: Final[dict[Path, Callable[[], str]]] = {
    adapter.PAGE: adapter.render,
    _FOLDER / "cli.md": commands.render,
    _FOLDER / "scenario.md": files.render_scenario,
    _FOLDER / "experiment.md": files.render_experiment,
    _FOLDER / "verdict.md": files.render_verdict,
    _FOLDER / "scenarios.md": catalogue.render_scenarios,
    _FOLDER / "experiments.md": catalogue.render_experiments,
    _FOLDER / "invariants.md": catalogue.render_invariants,
    _FOLDER / "indicators.md": catalogue.render_indicators,
    _FOLDER / "bugs.md": catalogue.render_bugs,
    SCHEMAS / "scenario.schema.json": partial(files.schema, Scenario, "A gatecrash scenario"),
    SCHEMAS / "experiment.schema.json": partial(files.schema, Experiment, "A gatecrash experiment"),
    SCHEMAS / "verdict.schema.json": partial(files.schema, Verdict, "verdict.json of a gatecrash rehearsal"),
    SCHEMAS / "findings.schema.json": partial(files.schema, Lessons, "Findings over many gatecrash runs"),
}

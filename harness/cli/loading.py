"""Scenarios with the experiments they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from chaos.specification.timeline import Planned
    from harness.scenario import Override, ScenarioFile


def load_planned(name: str, overrides: Sequence[Override]) -> tuple[ScenarioFile, tuple[Planned, ...]]:
    """A scenario with the experiments it names, checked against each other. Raises InputError."""
    from chaos.specification import experiment as experiments
    from chaos.specification import timeline
    from harness import scenario as scenarios

    source = scenarios.load(name, overrides)
    planned = []
    for at, fault in enumerate(source.scenario.faults):
        try:
            loaded = experiments.load(fault.experiment)
        except InputError as error:
            if error.file is not None:  # the fault is in the experiment's own file, which the error names
                raise
            raise source.error(error.message, "faults", at, "experiment", hint=error.hint) from error
        planned.append(timeline.Planned(loaded, fault.start_s, fault.length_s))
    timeline.schedule(planned, source.scenario.duration_s)
    return source, tuple(planned)

"""Loads scenarios with the experiments that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import InputError
from harness.input_file import is_file

if TYPE_CHECKING:
    from chaos.specification.experiment import Experiment
    from chaos.specification.timeline import Planned
    from harness.scenario import Override, PlannedFault, ScenarioFile

_PLACE: Final = re.compile(r"faults\[(\d+)\]\.(\w+)")
_FIGURES: Final = ("edge", "part", "ms", "percent")


def load_planned(name: str, overrides: Sequence[Override]) -> tuple[ScenarioFile, tuple[Planned, ...]]:
    """A scenario with the experiments it names, checked against each other. Raises InputError."""
    from chaos.specification import timeline
    from harness import scenario as scenarios

    source = scenarios.load(name, overrides)
    planned = []
    for at, fault in enumerate(source.scenario.faults):
        with _located(source, at):
            loaded = _experiment(fault, source)
        planned.append(timeline.Planned(loaded, fault.start_s, fault.length_s))
    with _located(source, None):
        timeline.schedule(planned, source.scenario.duration_s)
    return source, tuple(planned)


def _experiment(fault: PlannedFault, source: ScenarioFile) -> Experiment:
    """The experiment of a planned fault: made for an edge or a part, shipped, or from the user's file. Raises
    InputError.
    """
    from chaos.specification import experiment as experiments
    from chaos.specification import generic

    own = source.scenario.platform
    if fault.experiment in generic.GENERIC:
        if own is None:
            hint = "give the scenario a platform, or use one of `gatecrash experiment list` on the reference system"
            raise InputError(f"{fault.experiment} breaks an edge or a part of a platform of your own", hint=hint)
        return generic.experiment_for(fault, own.edges, own.parts)
    for key in _FIGURES:
        if getattr(fault, key):
            hint = f"{key} goes with {', '.join(experiments.GENERIC_NAMES)}"
            raise InputError(f"{fault.experiment} takes no {key}", key=key, hint=hint)
    is_file = experiments.is_path(fault.experiment)
    file = _beside(source.folder, fault.experiment)
    loaded = experiments.load(file if is_file else fault.experiment)
    if is_file:
        require_known_metrics(file, loaded, own=own is not None)
    if own is not None:
        generic.require_on_platform(loaded, own.edges, own.parts)
        if not is_file:
            generic.require_own_expectations(loaded, own.edges, own.parts)
    return loaded


_REFERENCE: Final = ("target_", "provider_")
"""How the names of the reference system's metrics begin."""


def require_known_metrics(path: Path, loaded: Experiment, *, own: bool) -> None:
    """Raises InputError, at its place in the file, for a metric that the reference system does not have.

    `own`: it is for a platform of the user's own, whose metrics nobody knows before it is asked.
    """
    from harness.stack.reference.reference_check import reference_metrics
    from harness.yaml_file import YamlFile, suggest

    for section in ("steady_state", "guards", "expectations"):
        for at, one in enumerate(getattr(loaded, section)):
            name = getattr(one, "metric", "")
            if not name or own or not name.startswith(_REFERENCE):
                continue
            known = reference_metrics()
            if name not in known:
                raise YamlFile(path).error(
                    f"the reference system has no metric {name!r}", section, at, "metric",
                    hint=suggest(name, tuple(known)),
                )  # fmt: skip
            for label in one.labels:
                if label not in known[name]:
                    hint = f"its labels are {', '.join(sorted(known[name])) or 'none'}"
                    raise YamlFile(path).error(
                        f"{name} has no label {label!r}", section, at, "labels", label, hint=hint
                    )


def _beside(folder: Path, path: str) -> Path:
    """A path in the scenario, relative to its folder; else the file of that name in the working directory."""
    beside = folder / path
    return beside if is_file(beside) or not is_file(Path(path)) else Path(path)


@contextmanager
def _located(source: ScenarioFile, at: int | None) -> Iterator[None]:
    """Give errors the file and line of the fault that they are about, unless they name an experiment's file. `at`: the
    fault; null: the error's key says which.
    """
    try:
        yield
    except InputError as error:
        if error.file is not None:
            raise
        if at is not None:
            raise source.error(error.message, "faults", at, error.key or "experiment", hint=error.hint) from error
        place = _PLACE.fullmatch(error.key or "")
        if place is None:
            raise
        raise source.error(error.message, "faults", int(place[1]), place[2], hint=error.hint) from error

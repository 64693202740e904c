"""Service level objectives from a file in OpenSLO v1, as it is kept for a platform's everyday monitoring.

An SLO is about what fans did when its annotation `gatecrash/step` names a step; others are passed over. Its objectives
say how many may be bad: those over a threshold (`thresholdMetric` with `op` and `value`), or those without a good
answer (`ratioMetric`). The window of such a file is days; in a rehearsal it is the sale, and so is the error budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from harness.errors import InputError
from harness.input_file import read_input
from harness.registry.indicators import PERCENTILES, STEPS
from harness.yaml_file import BYTES_MAX, YamlFile, suggest

STEP: Final = "gatecrash/step"
UNIT: Final = "gatecrash/unit"
ALL_STEPS: Final = "all"
_VERSION: Final = "openslo/v1"
_OCCURRENCES: Final = "Occurrences"
_NAME_MAX: Final = 200
_UNITS_MS: Final = {"ms": 1.0, "s": 1000.0}
_WORST: Final = 5.0
"""An OpenSLO file knows no worst: it is so many times the threshold, or so many times the errors that are allowed."""
_BETWEEN: Final = re.compile(rb"^---[ \t]*(?:#.*)?\r?$", re.M)


class Slo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One objective of one SLO. `target`: the share that must be good."""

    name: Annotated[str, Meta(max_length=_NAME_MAX)]  # of the SLO in its file
    step: str  # whose answers: a step, or all
    target: Annotated[float, Meta(gt=0, lt=1)]  # share of them that must be good
    within_ms: Annotated[float, Meta(gt=0)] | None = None  # good: answered within it; null: answered without an error

    @property
    def indicator(self) -> tuple[str, float, float] | None:
        """(indicator, target, worst) that says the same; null where none does, and only the error budget counts."""
        if self.within_ms is not None:
            percent = round(100 * self.target, 6)
            same = percent in PERCENTILES and self.step != ALL_STEPS
            return (f"{self.step}_response_p{percent:g}_ms", self.within_ms, _WORST * self.within_ms) if same else None
        allowed = round(1 - self.target, 9)
        same = self.step == ALL_STEPS and 0 < allowed < 1
        return ("error_ratio", allowed, min(1.0, _WORST * allowed)) if same else None


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    annotations: dict[str, str] = {}


class _Objective(msgspec.Struct, frozen=True):
    target: float | None = None
    targetPercent: float | None = None  # noqa: N815 - a name of OpenSLO
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    value: float | None = None


class _IndicatorSpec(msgspec.Struct, frozen=True):
    thresholdMetric: dict[str, Any] | None = None  # noqa: N815 - a name of OpenSLO
    ratioMetric: dict[str, Any] | None = None  # noqa: N815 - a name of OpenSLO


class _Indicator(msgspec.Struct, frozen=True):
    spec: _IndicatorSpec = _IndicatorSpec()


class _Spec(msgspec.Struct, frozen=True):
    objectives: tuple[_Objective, ...]
    indicator: _Indicator | None = None
    budgetingMethod: str = _OCCURRENCES  # noqa: N815 - a name of OpenSLO


class _Document(msgspec.Struct, frozen=True):
    apiVersion: str  # noqa: N815 - a name of OpenSLO
    kind: str
    metadata: _Metadata
    spec: dict[str, Any]


def read_slos(path: Path) -> tuple[Slo, ...]:
    """The SLOs of the file that are about a step. Raises InputError: unreadable, another version, none of them is."""
    found = tuple(slo for file in _documents(path) for slo in _slos(file))
    if not found:
        hint = f"annotate an SLO with {STEP}: a step, or {ALL_STEPS}"
        raise InputError("no SLO is about what fans do", file=str(path), hint=hint)
    return found


def _documents(path: Path) -> Iterator[YamlFile]:
    """Each document of the file, on its own lines."""
    content, at = read_input(path, BYTES_MAX), 0
    for part in _BETWEEN.split(content):
        if re.search(rb"^\s*[^#\s]", part, re.M):
            before = content[: content.index(part, at)].count(b"\n")
            at = content.index(part, at)
            yield YamlFile(path, b"\n" * before + part)


def _slos(file: YamlFile) -> Iterator[Slo]:
    document = file.decode(_Document)
    if document.apiVersion != _VERSION:
        raise file.error(f"{document.apiVersion!r} is not read", "apiVersion", hint=_VERSION)
    step = document.metadata.annotations.get(STEP)
    if document.kind != "SLO" or step is None:
        return
    if step not in STEPS and step != ALL_STEPS:
        known = [*STEPS, ALL_STEPS]
        raise file.error(f"unknown step {step!r}", "metadata", "annotations", STEP, hint=suggest(step, known))
    name = document.metadata.name
    if len(name) > _NAME_MAX:
        raise file.error(f"expected at most {_NAME_MAX} characters", "metadata", "name")
    try:
        spec = msgspec.convert(document.spec, _Spec)
    except msgspec.ValidationError as error:
        raise file.error(str(error), "spec") from error
    unit = document.metadata.annotations.get(UNIT, "s")
    if unit not in _UNITS_MS:
        raise file.error(f"unknown unit {unit!r}", "metadata", "annotations", UNIT, hint="ms or s")
    if spec.budgetingMethod != _OCCURRENCES:
        raise file.error(f"{spec.budgetingMethod!r} is not read", "spec", "budgetingMethod", hint=_OCCURRENCES)
    metrics = _IndicatorSpec() if spec.indicator is None else spec.indicator.spec
    threshold = metrics.thresholdMetric is not None
    if threshold == (metrics.ratioMetric is not None):
        hint = "write the indicator into the SLO: an indicatorRef is not followed"
        raise file.error("expected an indicator with a thresholdMetric or a ratioMetric", "spec", hint=hint)
    for at, objective in enumerate(spec.objectives):
        yield _slo(file, at, name, step, objective, _UNITS_MS[unit] if threshold else None)


def _slo(file: YamlFile, at: int, name: str, step: str, objective: _Objective, unit_ms: float | None) -> Slo:
    place = ("spec", "objectives", at)
    target = objective.target
    if target is None and objective.targetPercent is not None:
        target = objective.targetPercent / 100
    if target is None or not 0 < target < 1:
        raise file.error("expected a target between 0 and 1", *place, "target", hint="e.g. 0.99")
    if unit_ms is None:
        return Slo(name=name, step=step, target=target)
    if objective.op not in ("lte", "lt") or objective.value is None or objective.value <= 0:
        hint = "op: lte, and value: the longest time that is good"
        raise file.error("times are good below a threshold", *place, "op", hint=hint)
    return Slo(name=name, step=step, target=target, within_ms=objective.value * unit_ms)

"""Calls a plugin's code so that whatever it raises becomes a value that the verdict can tell, never the end of it.

`sys.exit()` is one of these: it would end the command with an exit code that the plugin chose, as 0, which is READY.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np

from harness.errors import GatecrashError
from harness.plugins.plugin import Section, Table
from harness.record.reader import Record
from harness.record.verdict import Verdict
from harness.shown import on_one_line
from harness.sli.indicators import IndicatorSpec
from harness.sli.measured import Measured, Observations
from harness.sli.samples import Samples

_NONE: Samples = Samples(who=np.array([], dtype=np.str_), t_s=np.array([]), value=np.array([]))


def indicator(spec: IndicatorSpec, plugin: str) -> IndicatorSpec:
    """The indicator of that plugin; it has no value where its measure breaks, and the note says why."""

    def measure(seen: Observations) -> Measured:
        try:
            return _sound(spec.measure(seen))
        except GatecrashError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as a checker that crashes: it found nothing out
            return Measured(None, 0, on_one_line(f"the plugin {plugin} broke: {type(error).__name__}: {error}"))

    guarded = msgspec.structs.replace(spec, plugin=plugin, measure=measure)
    return guarded if spec.samples is None else msgspec.structs.replace(guarded, samples=_samples(spec.samples))


def _sound(found: object) -> Measured:
    if not isinstance(found, Measured):
        raise TypeError(f"its measure gave a {type(found).__name__}, expected Measured")
    if found.value is not None and not math.isfinite(found.value):
        raise ValueError(f"its measure gave {found.value}")
    return Measured(
        None if found.value is None else float(found.value), int(found.samples), on_one_line(str(found.note))
    )


def _samples(samples: Callable[[Observations], Samples]) -> Callable[[Observations], Samples]:
    """The samples; none where the plugin breaks, which its measure says."""

    def of(seen: Observations) -> Samples:
        try:
            found = samples(seen)
        except GatecrashError:
            raise
        except (Exception, SystemExit):  # noqa: BLE001 - said by the measure
            return _NONE
        return found if isinstance(found, Samples) else _NONE

    return of


def table(section: Section, record: Record, verdict: Verdict) -> Table:
    """The content of a section, or one that says why there is none."""
    try:
        found = section.view(record, verdict)
        if not isinstance(found, Table):
            raise TypeError(f"it gave a {type(found).__name__}, expected a Table")  # noqa: TRY301 - said as the others
        if any(len(row) != len(found.columns) for row in found.rows):
            raise ValueError("a row has not as many cells as there are columns")  # noqa: TRY301
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a section that breaks must not take the report with it
        return Table(text=f"This section could not be made: {type(error).__name__}: {error}")
    return Table(
        text=str(found.text),
        columns=tuple(map(str, found.columns)),
        rows=tuple(tuple(map(str, row)) for row in found.rows),
    )

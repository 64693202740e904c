"""Measures which resource came nearest to its limit."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.record.verdict import Figure
from harness.sli.examinations.figures import figure
from harness.sli.measured import Observations
from harness.sli.utilisation import WINDOW_S, Utilisation, utilisations


def saturation(seen: Observations) -> Iterator[Figure]:
    """The highest utilisation of each resource that the record shows, the nearest to its limit first."""
    yield from sorted(map(_figure, utilisations(seen.metrics)), key=lambda one: -(one.value or 0.0))


def _figure(one: Utilisation) -> Figure:
    if one.highest is None:
        return figure(one.name, one.title, None, "ratio", one.scrapes, f"seen for less than {WINDOW_S:g} s")
    share, t_s = one.highest
    found = figure(one.name, one.title, share, "ratio", one.scrapes, f"in the {WINDOW_S:g} s until T{t_s:+.1f} s")
    return msgspec.structs.replace(found, whole=one.whole)

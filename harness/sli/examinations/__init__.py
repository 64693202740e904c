"""Examinations: tables of figures without objectives, from the business to the resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from harness.errors import GatecrashError
from harness.record.reader import Record
from harness.record.verdict import Examination, Figure
from harness.sli.examinations.budgets import budgets, slos_of
from harness.sli.examinations.business import business
from harness.sli.examinations.kept import kept
from harness.sli.examinations.money import money
from harness.sli.examinations.saturation import saturation
from harness.sli.examinations.second_wave import second_wave
from harness.sli.examinations.treatment import fairness
from harness.sli.measured import Observations


class ExaminationSpec(msgspec.Struct, frozen=True):
    """One examination. `measure` yields its figures, and no figure when the run has nothing to examine.

    `is_asked`: whether the scenario asks for it at all.
    """

    name: str
    title: str
    question: str
    measure: Callable[[Observations], Iterator[Figure]]
    is_asked: Callable[[Observations], object] = lambda _: True


_ALL: Final = (
    ExaminationSpec("business", "Business", "What was sold and when, and who went home with nothing?", business),
    ExaminationSpec("fairness", "Fairness", "Was everybody in the line treated by the same rule?", fairness),
    ExaminationSpec("money", "Money", "Where did every cent go?", money),
    ExaminationSpec("second_wave", "Second wave", "What became of seats that came back?", second_wave),
    ExaminationSpec("kept", "Holds", "How long do fans need what is kept for them?", kept),
    ExaminationSpec("budgets", "Error budgets", "How long did what may go wrong last?", budgets, is_asked=slos_of),
    ExaminationSpec("saturation", "Resources", "What saturates first?", saturation),
)


def examine(record: Record, seen: Observations | None = None) -> tuple[Examination, ...]:
    """Every examination of the run. Raises `InputError` for a record that its schema does not allow.

    `seen`: the record's tables, where the caller has already read them.
    """
    seen = seen or Observations(record)
    return tuple(_examined(spec, seen) for spec in _ALL if spec.is_asked(seen))


def _examined(spec: ExaminationSpec, seen: Observations) -> Examination:
    """Run one examination. When it crashes, its note says so and the verdict does not depend on it."""
    try:
        figures, note = tuple(spec.measure(seen)), ""
    except GatecrashError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever broke it, it must not break the verdict
        figures, note = (), f"could not be examined: {type(error).__name__}: {error}"
    return Examination(
        name=spec.name,
        title=spec.title,
        question=spec.question,
        figures=figures,
        note=note or ("" if figures else "the record has nothing to examine it by"),
    )

"""Refusals at the entrance, a part of `refused_for_cause`: fans get a place, and who is called in is let in, unless the
ticket was used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import EnterValue, JoinValue, Operation, Value
from harness.audit.tally import Moment, Tally, during
from harness.record.schema import TURNED_AWAY

_NOT_IN: Final = ("used", "expired", "waiting")
_RECOVERY_S: Final = 5.0
"""So long after a fault, or before it, a called fan may be told to wait again: the queue may have lost the call."""
_OPEN_S: Final = float("inf")
_REPEAT_ENTER_S: Final = 60.0
"""The reference system gives who comes in again so soon the same answer, for the first may have been lost."""


def check_entrance(evidence: Evidence, tally: Tally) -> None:
    """Each fan's ways in, in order; each is a chance. Of fans who showed a forged ticket nothing is said."""
    called_s, shared = _calls(evidence), _Shared(evidence)
    _turned_away(evidence, shared, tally)
    tried_s = _first_tries_s(evidence)
    joined_s = evidence.joins.first_invoked_s
    for enter in evidence.enters:
        fan = enter.actor
        if fan not in evidence.showed_forged and (enter.ok or enter.error in _NOT_IN):
            tally.chance()
            before_s = tried_s.get(fan, _OPEN_S)
            problem = _untrue(
                evidence,
                enter,
                before_s if before_s <= enter.t_end_s else None,
                called_s.get(fan),
                joined_s.get(fan),
            )
            if problem and not (enter.error == "used" and shared.asked_by_another(enter, enter.t_end_s)):
                told = during(enter, f"{fan} asked to come in and was told: {enter.error}")
                tally.violated(f"{fan} was refused entry as {enter.error}, {problem}", told)


def _first_tries_s(evidence: Evidence) -> dict[str, float]:
    """Fan → when they first asked to come in and were let in, or may have been."""
    let_in = np.ones(len(evidence.enters), dtype=np.bool_)
    for error in _NOT_IN:
        let_in &= ~evidence.enters.ended_with(error)
    return evidence.enters.where(let_in).first_invoked_s


def _turned_away(evidence: Evidence, shared: _Shared, tally: Tally) -> None:
    """Fans who were told that somebody else has the place of their code or identity, in answer to a join or in line.

    On the reference system; how a platform of the user's own knows who is who is not in the record.
    """
    if evidence.on_sale is None:
        return
    blamed: set[str] = set()
    for join in evidence.joins.failed_with(TURNED_AWAY):
        _turned_away_as(join, during(join, f"{join.actor} asked for a place"), shared, blamed, tally)
    told = evidence.events("positions", ("refused",), ("actor", "key", "t_s"))
    told = told.filter(pc.equal(told["key"], TURNED_AWAY))
    joins = {join.actor: join for join in evidence.joins} if told.num_rows else {}
    for fan, t_s in zip(told["actor"].to_pylist(), told["t_s"].to_pylist(), strict=True):
        if fan in joins:
            _turned_away_as(joins[fan], Moment(fan, f"{fan} waited in line", (t_s, t_s)), shared, blamed, tally)


def _turned_away_as(
    join: Operation[JoinValue], moment: Moment, shared: _Shared, blamed: set[str], tally: Tally
) -> None:
    """Reports who was turned away then, once, unless somebody else may have the place."""
    if join.value.ticket or join.actor in blamed:
        return
    tally.chance()
    if not shared.asked_by_another(join, (moment.interval_s or (0.0, 0.0))[1]):
        blamed.add(join.actor)
        told = Moment(moment.actor, f"{moment.text} and was told that another has it", moment.interval_s)
        summary = f"{join.actor} was turned away, and nobody else had asked with the same code or as the same person"
        tally.violated(summary, told)


class _Shared:
    """Who has asked for a place with the same access code, or as the same identity where the sale gives it one place.

    One of them comes in.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._one_each = bool(evidence.rules and evidence.rules.places_per_identity)
        self._margin_s = evidence.clock_margin_s
        self._codes: dict[str, set[str]] = defaultdict(set)
        self._asked_s: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        for join in evidence.joins if self._one_each else evidence.joins.naming("code"):
            if join.value.code:
                self._codes[join.actor].add(join.value.code)
            if join.error != TURNED_AWAY:
                for share in self._of(join):
                    self._asked_s[share].setdefault(join.actor, join.t_invoke_s)

    def asked_by_another(self, one: Operation[Value], t_s: float) -> bool:
        """Whether somebody else may have had the fan's place by then."""
        until_s = t_s + self._margin_s
        return any(
            fan != one.actor and t_s <= until_s
            for share in self._of(one)
            for fan, t_s in self._asked_s.get(share, {}).items()
        )

    def _of(self, one: Operation[Value]) -> Iterator[tuple[str, str]]:
        yield from (("code", code) for code in self._codes.get(one.actor, ()))
        if self._one_each:
            yield "identity", one.identity


def _untrue(
    evidence: Evidence,
    enter: Operation[EnterValue],
    tried_s: float | None,
    called_s: list[float] | None,
    joined_s: float | None,
) -> str:
    """What shows that the cause was none; "" where nothing does."""
    on_sale = evidence.on_sale
    match enter.error:
        case "used" if tried_s is None:
            return "and had not come in before"
        case "used" if on_sale and tried_s is not None and enter.t_end_s - tried_s < _REPEAT_ENTER_S:
            return "and had first tried so shortly before that it is a repeat"
        case "expired" if on_sale and joined_s is not None and enter.t_end_s - joined_s < on_sale.admission_valid_s:
            return f"and had joined less than {on_sale.admission_valid_s:g} s before, so long a call is good"
        case "waiting" if on_sale and called_s:
            at_s = [t_s for t_s in called_s if t_s < enter.t_invoke_s]
            lost = evidence.unrest or (
                at_s and evidence.faults_between(at_s[-1] - _RECOVERY_S, enter.t_end_s + _RECOVERY_S)
            )
            if at_s and not lost and (joined_s is None or joined_s < at_s[-1]):
                return "and had been called in before"
    return ""


def _calls(evidence: Evidence) -> dict[str, list[float]]:
    """Fan → when their stream said that they are called in, in order."""
    rows = evidence.events("positions", ("admitted",), ("actor", "t_s"))
    found: dict[str, list[float]] = defaultdict(list)
    t_s = rows["t_s"].to_numpy()
    names = rows["actor"].to_pylist()
    for at in np.argsort(t_s, kind="stable").tolist():
        found[names[at]].append(float(t_s[at]))
    return found

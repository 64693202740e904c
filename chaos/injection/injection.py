"""One experiment while it is carried out: its canaries, its inverses and its state.

The inverses are known before the first fault is injected, so healing never depends on how far the injection got.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from chaos import faults
from chaos.faults import Inverse
from chaos.faults.tools import ChangedHands, Gone, Tools
from chaos.lease.lease import Lease
from chaos.proof.canary import Place, canary_for
from chaos.proof.proof import Proof, Timing, blind, not_as_asked
from chaos.specification.experiment import Site
from chaos.specification.timeline import Planned
from harness.errors import GatecrashError
from harness.fault_change import FaultChange
from harness.record.schema import FaultRun, RunbookTimes

_RETRY_FIRST_S: Final = 0.1
_RETRY_MOST_S: Final = 1.0
_log = logging.getLogger("chaos")

Clock = Callable[[], float]


class Injection:
    """Mutable on purpose: it belongs to the conductor, and `document` is its frozen picture."""

    def __init__(self, plan: Planned, number: int, places: Mapping[Site, Place], clock: Clock, lease: Lease) -> None:
        self.plan = plan
        self.canaries = tuple(canary_for(spec, places[spec.site], clock) for spec in plan.experiment.canaries)
        self.pending: list[tuple[Inverse, int]] = []  # the inverses to carry out, with their numbers in the journal
        self._clock = clock
        self._lease = lease
        prefix = f"gatecrash_{lease.id}_{plan.experiment.name}_{number}"
        self._names = [f"{prefix}_{at}" for at in range(len(plan.experiment.faults))]
        self._requested_s: float | None = None
        self._heal_requested_s: float | None = None
        self._measured: Counter[str] = Counter()
        self._problems: list[str] = []
        self._unhealed: dict[int, str] = {}
        self._healed_by_us = False
        self._injectors = {at: faults.injector_of(fault) for at, fault in enumerate(plan.experiment.faults)}
        self._by_hand = RunbookTimes(plan.lasts_s) if plan.by_hand else None

    @property
    def was_injected(self) -> bool:
        """Whether the injection was begun."""
        return self._requested_s is not None

    @property
    def was_tried(self) -> bool:
        """Whether the injection was begun, or given up before it began."""
        return self.was_injected or bool(self._problems)

    @property
    def in_force(self) -> bool:
        """Whether a fault of it may still be in force."""
        return bool(self.pending)

    def watch(self) -> None:
        """Start the canaries."""
        for canary in self.canaries:
            canary.start()

    def inject(self, tools: Tools, which: Sequence[int]) -> None:
        """Inject these faults.

        The first that fails ends the injection; faults that were begun are healed like the others. A lost lease is not
        used again: the process that took it over would not know of a new fault.
        """
        if self._requested_s is None:
            self._requested_s = round(self._clock(), 4)
            for canary in self.canaries:
                canary.injected(self._requested_s)
        for at in which:
            try:
                self._inject(at, tools)
            except GatecrashError as problem:
                self._problems.append(f"not injected: {problem}")
                return

    def _inject(self, at: int, tools: Tools) -> None:
        if self._lease.lost:
            raise GatecrashError("the lease was lost: what was in force is healed already")
        fault = self.plan.experiment.faults[at]
        inverse = faults.inverse_of(fault, self._names[at], tools)
        self._injectors[at] = faults.injector_of(fault, inverse)
        if all(inverse != known for known, _ in self.pending):
            self.pending.append((inverse, self._lease.intend(self.plan.experiment.name, inverse)))
        self._measured.update(faults.inject(fault, self._names[at], inverse, tools))

    def abort(self, why: str) -> None:
        """Note why the experiment ended early; the caller heals."""
        self._problems.append(why)

    def notice_healed_by_hand(self) -> bool:
        """Take note of what a person undid from outside; true when there was something new."""
        undone = self._lease.undone_by_others() if self._by_hand and self.in_force else frozenset()
        left = [(inverse, number) for inverse, number in self.pending if number not in undone]
        if len(left) == len(self.pending):
            return False
        self._request_heal()
        self.pending = left
        return True

    def acknowledged(self) -> None:
        """A person has seen the alert."""
        if self._by_hand is not None:
            self._by_hand = msgspec.structs.replace(self._by_hand, acknowledged_s=round(self._clock(), 4))

    def mitigated(self, said: str) -> bool:
        """A person says what they did: noted when the fault is not in force any more, and they were in time."""
        if self._by_hand is None or self.in_force or self._healed_by_us:
            return False
        self._by_hand = msgspec.structs.replace(self._by_hand, mitigated_s=round(self._clock(), 4), said=said)
        return True

    def _request_heal(self) -> None:
        if self._heal_requested_s is None:
            self._heal_requested_s = round(self._clock(), 4)
            for canary in self.canaries:
                canary.heal_requested(self._heal_requested_s)

    def heal(self, tools: Tools, deadline_s: float) -> None:
        """Undo in reverse order, with retries until `deadline_s` (monotonic). A failure is noted as the error."""
        self.notice_healed_by_hand()
        if not self.pending:
            return
        self._healed_by_us = True
        self._request_heal()
        if self._lease.lost and self._by_hand is None:
            self._problems.append("the lease was lost: somebody else healed it before its time")
        for inverse, number in reversed(tuple(self.pending)):
            problem = _undo(inverse, tools, deadline_s)
            if problem is None:
                self._lease.undone(number)
                self.pending.remove((inverse, number))
                self._unhealed.pop(number, None)
            else:
                self._unhealed[number] = f"STILL IN FORCE, to undo it: {inverse.what}; that failed: {problem}"
                _log.error("%s could not be healed: %s: %s", self.plan.experiment.name, inverse.what, problem)

    def stop(self) -> None:
        """End the canaries."""
        for canary in self.canaries:
            canary.stop()

    def changes(self) -> list[FaultChange]:
        """Whether and when it came into force, and was healed."""
        timing, name = self._timing([canary.proof() for canary in self.canaries]), self.plan.experiment.name
        found = []
        if timing.requested_s is not None:
            began_s = timing.requested_s if timing.effective_s is None else timing.effective_s
            found.append(FaultChange(name, in_force=True, t_s=began_s))
        if timing.heal_requested_s is not None and not self.in_force:
            ended_s = timing.heal_requested_s if timing.healed_s is None else timing.healed_s
            found.append(FaultChange(name, in_force=False, t_s=ended_s))
        return found

    def document(self) -> FaultRun:
        """The state of the experiment, for faults.json."""
        experiment = self.plan.experiment
        proofs = [canary.proof() for canary in self.canaries]
        timing = self._timing(proofs)
        errors = [*self._unhealed.values(), *self._problems]
        if self.was_injected:
            errors += [proof.error for proof in proofs if proof.error]
            errors += [] if errors or self.plan.healed_on_request else self._not_as_asked(timing)
        elif not errors:
            errors.append("not injected: the run ended first")
        samples = [sample for canary in self.canaries for sample in canary.samples()]
        return FaultRun(
            experiment=experiment.name,
            component=experiment.component,
            kind=experiment.kind,
            injector=", ".join(sorted(set(self._injectors.values()))),
            hypothesis=experiment.hypothesis,
            runbook=experiment.runbook,
            t_requested_s=timing.requested_s,
            t_effective_s=timing.effective_s,
            t_heal_requested_s=timing.heal_requested_s,
            t_healed_s=timing.healed_s,
            proven=not errors,
            measured={**self._measure(proofs), **self._measured},
            samples=tuple(sorted(samples, key=lambda sample: sample.t_s)),
            error="; ".join(errors),
            definition=msgspec.to_builtins(experiment),
            asked_s=None if self.plan.healed_on_request else timing.asked_s,
            tolerance_s=None if self.plan.healed_on_request else timing.tolerance_s,
            runbook_times=self._by_hand,
        )

    def _timing(self, proofs: Sequence[Proof]) -> Timing:
        asked_s, experiment = self.plan.lasts_s, self.plan.experiment
        return Timing(
            start_s=self.plan.start_s,
            asked_s=asked_s,
            late_max_s=experiment.may_be_late_s(asked_s),
            tolerance_s=experiment.tolerates_s(asked_s),
            requested_s=self._requested_s,
            effective_s=_latest([proof.effective_s for proof in proofs]),
            heal_requested_s=self._heal_requested_s,
            healed_s=_latest([proof.healed_s for proof in proofs]),
        )

    def _not_as_asked(self, timing: Timing) -> list[str]:
        looked = [
            blind(canary.spec, canary.samples(), timing.requested_s, timing.heal_requested_s, timing.tolerance_s)
            for canary in self.canaries
        ]
        return [error for error in (not_as_asked(timing), *looked) if error]

    def _measure(self, proofs: Sequence[Proof]) -> dict[str, float]:
        if len(proofs) == 1:
            return proofs[0].measured
        named = zip(self.canaries, proofs, strict=True)
        return {f"{canary.spec.place}.{key}": value for canary, proof in named for key, value in proof.measured.items()}


def _undo(inverse: Inverse, tools: Tools, deadline_s: float) -> GatecrashError | None:
    pause_s = _RETRY_FIRST_S
    while True:
        try:
            inverse.undo(tools)
        except (Gone, ChangedHands) as reason:
            _log.warning("left alone: %s: %s", inverse.what, reason)
            return None
        except GatecrashError as problem:
            if time.monotonic() + pause_s > deadline_s:
                return problem
        else:
            return None
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _RETRY_MOST_S)


def _latest(moments: Sequence[float | None]) -> float | None:
    """The latest instant; null when one is missing, because then the fault was not complete."""
    known = [moment for moment in moments if moment is not None]
    return max(known) if known and len(known) == len(moments) else None

"""The invariants by name, and the audit that runs them. A checker that crashes has found nothing out: unknown.

A checker's module declares its invariant with `harness.audit.spec.specified`, which is all that it takes to be found.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from harness.audit.history import Evidence
from harness.audit.spec import InvariantSpec
from harness.errors import GatecrashError
from harness.record.reader import Record
from harness.record.verdict import UNAUDITED, InvariantResult, Status
from harness.registry.capabilities import in_words
from harness.registry.invariants import INVARIANTS as REGISTERED
from harness.shown import on_one_line


def _checked() -> Iterator[InvariantSpec]:
    """Every `InvariantSpec` that a module of these rooms declares, in the order of the registry."""
    found: dict[str, InvariantSpec] = {}
    for module in pkgutil.walk_packages([str(Path(__file__).parent)], f"{__package__}."):
        if module.name != __name__:
            declared = vars(importlib.import_module(module.name)).values()
            found |= {one.name: one for one in declared if isinstance(one, InvariantSpec)}
    return (found[name] for name in REGISTERED)


INVARIANTS: Final[dict[str, InvariantSpec]] = {spec.name: spec for spec in _checked()}


def audit(record: Record, evidence: Evidence | None = None) -> tuple[InvariantResult, ...]:
    """Check every invariant against the record. Raises `InputError` for a record that its schema does not allow.

    The last first: those of queue and feed work on whole event tables, before the operations are all in memory.
    `evidence`: what others have read of that record already, or will read.
    """
    evidence = evidence or Evidence(record)
    missing = evidence.missing_operations
    results: dict[str, InvariantResult] = {}
    with _no_collection():
        for name, spec in reversed(INVARIANTS.items()):
            if _concerns(spec, evidence):
                results[name] = check(spec, evidence)
                pa.default_memory_pool().release_unused()
    return tuple(_of_a_part(results[name], missing) for name in INVARIANTS if name in results)


def _concerns(spec: InvariantSpec, evidence: Evidence) -> bool:
    """Whether the run was rehearsed with it, and it is about such a platform or the scenario asks for it."""
    run = evidence.run
    if not run.has_plugin(spec.plugin):
        return False
    asked = run.scenario.get("invariants")
    concerned = spec.only_of in ("", *run.capabilities) and spec.not_of not in run.capabilities
    return concerned or (isinstance(asked, list) and spec.name in asked)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the cyclic garbage collector: it would walk the millions of operations again and again, for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _of_a_part(result: InvariantResult, missing: int) -> InvariantResult:
    """Downgrades a result when operations are missing: nothing is held, and violations by absence become unknown."""
    if not missing or result.status is Status.NOT_OBSERVABLE:
        return result
    stands = result.status is Status.VIOLATED and not INVARIANTS[result.name].by_absence
    found = Status.VIOLATED if stands else Status.UNKNOWN
    note = f"{missing} operations are missing from the record{'; ' if result.note else ''}{result.note}"
    return msgspec.structs.replace(result, status=found, note=note)


def _where_at_rest(result: InvariantResult, spec: InvariantSpec, evidence: Evidence) -> InvariantResult:
    """Makes a result that needs the state at rest unknown when the platform never came to rest."""
    if not (spec.at_rest and evidence.unrest) or result.status is Status.NOT_OBSERVABLE:
        return result
    note = f"the platform did not come to rest: {evidence.unrest}"
    return msgspec.structs.replace(result, status=Status.UNKNOWN, violations=(), violations_total=0, note=note)


def _where_listed_once(result: InvariantResult, spec: InvariantSpec, evidence: Evidence) -> InvariantResult:
    """Makes a result unknown when the export lists orders again, so that their tickets cannot be counted."""
    if not spec.counts_orders or result.status in (Status.VIOLATED, Status.NOT_OBSERVABLE):
        return result
    if not (again := evidence.listed_again):
        return result
    more = f", and so {len(again) - 1} more" if again[1:] else ""
    note = f"the order export lists order {again[0]} several times with the same pool{more}: how many tickets it has "
    return msgspec.structs.replace(result, status=Status.UNKNOWN, note=f"{note}cannot be told")


def check(spec: InvariantSpec, evidence: Evidence) -> InvariantResult:
    """Check one invariant."""
    hidden = [capability for capability in spec.needs if capability not in evidence.run.capabilities]
    foreign = spec.not_of in evidence.run.capabilities
    if hidden or foreign or evidence.has_no_adapter:
        note = UNAUDITED if evidence.has_no_adapter else f"the platform does not show: {in_words(hidden)}"
        note = f"the platform declares {in_words([spec.not_of])}" if foreign and not hidden else note
        return InvariantResult(
            name=spec.name, status=Status.NOT_OBSERVABLE, operations_checked=0, unknowns=0, note=note
        )
    try:
        found = _as_declared(spec.checker(evidence).result(spec.name))
        at_rest = _where_at_rest(msgspec.structs.replace(found, name=spec.name, chance=spec.chance), spec, evidence)
        return _where_listed_once(at_rest, spec, evidence)
    except GatecrashError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever broke it, it must not break the verdict
        note = on_one_line(f"the checker crashed: {type(error).__name__}: {error}")
        return InvariantResult(name=spec.name, status=Status.UNKNOWN, operations_checked=0, unknowns=0, note=note)


def _as_declared(result: InvariantResult) -> InvariantResult:
    """The result as its types say. Raises msgspec.MsgspecError or UnicodeError where the verdict could not be kept."""
    return msgspec.json.decode(msgspec.json.encode(result), type=InvariantResult)

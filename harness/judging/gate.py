"""The gate: judges a finished run again and returns the exit code for a CI job.

The record decides, not verdict.json: the gate judges the record again and compares verdict.json with the result, unless
its caller proves by the seal key that verdict.json is that result (`harness.cli.judge.sealed_verdict`). A
verdict.json that another version of gatecrash wrote is compared too, in every field that both have, because whoever
edits a verdict can also edit the version that judged. When verdict.json says that the record was never judged, the gate
answers NO VERDICT without judging.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import ExitCode, InputError
from harness.input_file import is_folder
from harness.judging.unjudged import is_unjudged
from harness.record.paths import RunPaths, require_file
from harness.record.seal import require_verdict_seal
from harness.record.verdict import VERDICT_SCHEMA, Decision, Status, Verdict

Judge = Callable[[Path], Verdict]
"""Judges the record in a run directory. Raises InputError when the record cannot be trusted."""

_LETTERS: Final = "ABCDF"
_MEND: Final = "run `gatecrash report` on it again, or rehearse again"
_EDITED: Final = "somebody edited it; `gatecrash report` gives what the record gives"
_RELATIVE: Final = 1e-9  # machines may differ in the last digits of a float, never in what they decide
_SHOWN_MAX: Final = 60
_ABSENT: Final = object()
_OWN: Final = ("judged_by", "plugins", "seal")
"""Fields that two versions write differently for one and the same verdict."""


class Decided(msgspec.Struct, frozen=True):
    """The gate's answer. `note`: what else the reader should know, or ""."""

    run_id: str
    verdict: Decision
    grade: str | None
    exit_code: ExitCode
    reason: str
    note: str = ""


class _Head(msgspec.Struct, frozen=True):
    """The fields that verdict.json has in every version of gatecrash."""

    schema: str
    run_id: str
    verdict: Decision
    reason: str = ""
    judged_by: str = ""


def decide(run: Path, judge: Judge, min_grade: str | None = None) -> Decided:
    """Judge the record in `run`, and require that its verdict.json says the same.

    `min_grade` may ask for more than the scenario did, never for less. Raises InputError when the run is missing,
    corrupt or changed since it was judged, or its verdict.json was edited.
    """
    paths = RunPaths(root=run)
    if not is_folder(run):
        raise InputError("no such run directory", file=str(run), hint="give the directory of a finished run")
    head, written = _read(paths.verdict)
    if is_unjudged(head.verdict, head.judged_by):
        require_verdict_seal(paths.verdict, written)
        note = f"`gatecrash report {run}` judges the record"
        return Decided(_one_line(head.run_id), head.verdict, None, ExitCode.NO_VERDICT, _one_line(head.reason), note)
    verdict = judge(run)
    require_verdict_seal(paths.verdict, written)
    found = differences(json.loads(msgspec.json.encode(verdict)), written)
    note = ""
    if head.judged_by == verdict.judged_by:
        _require_same(paths, verdict, written, found, _EDITED)
    else:
        by = f"it was written by gatecrash {_one_line(head.judged_by) or 'of an older version'}"
        both = (one for one in found if one.at[0] not in _OWN and _ABSENT not in (one.expected, one.found))
        _require_same(paths, verdict, written, both, f"{by}; `gatecrash report` judges the record with this one")
        note = f"verdict.json: {by}; the record gives the same to {verdict.judged_by}"
    code = exit_code(verdict)
    decision, reason = verdict.verdict, verdict.reason
    if code == ExitCode.READY and min_grade and not _at_least(verdict.grade, min_grade):
        code, decision = ExitCode.NOT_READY, Decision.NOT_READY
        reason = f"grade {verdict.grade} is below the {min_grade} that was asked for"
    return Decided(verdict.run_id, decision, verdict.grade, code, reason, note)


def exit_code(verdict: Verdict) -> ExitCode:
    """The exit code of a verdict."""
    if verdict.verdict is Decision.NO_VERDICT:
        return ExitCode.NO_VERDICT
    if any(result.status is Status.VIOLATED for result in verdict.invariants):
        return ExitCode.INVARIANT_VIOLATED
    return ExitCode.READY if verdict.verdict is Decision.READY else ExitCode.NOT_READY


class Difference(msgspec.Struct, frozen=True):
    """A place, as keys and indices, at which two JSON documents differ; `_ABSENT` where one has nothing there."""

    at: tuple[str | int, ...]
    expected: object
    found: object


def differences(expected: object, found: object, at: tuple[str | int, ...] = ()) -> Iterator[Difference]:
    """Where two JSON documents differ, in the order of the first; floats may differ in their last digits."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*expected, *found)):
            yield from differences(expected.get(key, _ABSENT), found.get(key, _ABSENT), (*at, key))
    elif isinstance(expected, list) and isinstance(found, list):
        for index, pair in enumerate(zip_longest(expected, found, fillvalue=_ABSENT)):
            yield from differences(*pair, (*at, index))
    elif not _same(expected, found):
        yield Difference(at, expected, found)


def _same(expected: object, found: object) -> bool:
    if type(expected) is not type(found):
        return False
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=_RELATIVE)
    return expected == found


def _read(path: Path) -> tuple[_Head, dict[str, object]]:
    """The content of verdict.json. Raises InputError when it is missing or no verdict."""
    require_file(path)
    try:
        text = path.read_bytes()
        head = msgspec.json.decode(text, type=_Head)
        written = json.loads(text, object_pairs_hook=_without_repeats)
    except FileNotFoundError as error:
        raise InputError("missing: the run was never judged", file=str(path), hint=_MEND) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path), hint=_MEND) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no verdict: {_one_line(str(error))}", file=str(path), hint=_MEND) from error
    if head.schema != VERDICT_SCHEMA:
        raise InputError(f"has the schema {head.schema!r}, expected {VERDICT_SCHEMA!r}", file=str(path))
    return head, written


def _without_repeats(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Refuses an object with two equal keys, of which some readers take the first and others the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _require_same(
    paths: RunPaths, verdict: Verdict, written: dict[str, object], found: Iterator[Difference], hint: str
) -> None:
    """Raises InputError for a file of the record that changed, then for the first of the differences found."""
    for one in differences(verdict.record, written.get("record")):
        if one.at and _ABSENT not in (one.expected, one.found):
            file = str(paths.root / str(one.at[0]))
            raise InputError("has changed since the verdict was given", file=file, hint=_MEND)
    first = next(found, None)
    if first is None:
        return
    message = f"says {_shown(first.found)}, but the record gives {_shown(first.expected)}"
    raise InputError(message, file=str(paths.verdict), key=_place(first.at), hint=hint)


def _place(at: Sequence[str | int]) -> str:
    """A path in one line: slis[3].value."""
    return _one_line("".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in at).lstrip("."))


def _shown(value: object) -> str:
    """A value as JSON, shortened; "nothing" when it is absent."""
    return "nothing" if value is _ABSENT else _one_line(json.dumps(value, ensure_ascii=False))


def _one_line(text: str) -> str:
    """A text from a verdict that may be edited: without control characters for the terminal, and shortened."""
    shown = repr(text)[1:-1]
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}…"


def _at_least(grade: str | None, wanted: str) -> bool:
    return grade is not None and _LETTERS.index(grade) <= _LETTERS.index(wanted)

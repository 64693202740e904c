"""Runs the user's adapter in a process of its own, for its capabilities and for one trial purchase.

An adapter is the user's code. It may hang, print, or end its process; here each of these becomes an error of one line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from harness.adapter.checking.report import Description, Problem, TrialReport, TrialSpec
from harness.errors import InputError
from harness.input_file import NOT_JSON
from harness.processes.managed import below, child_environment, end_all, ending, tied_to_parent
from harness.processes.signals import uninterrupted
from harness.record.paths import RunPaths
from harness.scenario import OwnPlatform
from harness.scenario.environment import redacted, secret_values
from harness.stack import Addresses

T = TypeVar("T")
_DESCRIBED_WITHIN_S: Final = 30.0
_HOPS_MAX: Final = 40  # pages of one purchase, each within the limits of the platform
_TRIED_AT_LEAST_S: Final = 60.0
_TRIED_AT_MOST_S: Final = 300.0
_WORDS_MAX: Final = 300


def describe(platform: OwnPlatform, adapter: str, *, within_s: float = _DESCRIBED_WITHIN_S) -> Description:
    """The capabilities of the adapter FILE:CLASS. Raises InputError when it cannot be loaded or is wrong."""
    said = _asked(["describe", adapter], platform, adapter, within_s)
    found = _decoded(said, Description, adapter)
    _raise_first(found.problems, platform, adapter)
    return found


def require_journeys(references: Mapping[str, str], *, within_s: float = _DESCRIBED_WITHIN_S) -> None:
    """Kind of user → FILE:CLASS. Raises InputError when one cannot be loaded, or is no journey of that kind."""
    if references:
        words, first = [f"{kind}={one}" for kind, one in references.items()], next(iter(references.values()))
        found = _decoded(_asked(["journeys", *words], None, first, within_s), Description, first)
        _raise_first(found.problems, None, "")


def require_locustfile(file: str, *, within_s: float = _DESCRIBED_WITHIN_S) -> None:
    """Raises InputError when it cannot be loaded, or has no users."""
    found = _decoded(_asked(["locustfile", file], None, f"{file}:", within_s), Description, f"{file}:")
    _raise_first(found.problems, None, "")


def try_out(addresses: Addresses, platform: OwnPlatform, fans: int, paths: RunPaths) -> TrialReport:
    """One purchase by one fan. Raises InputError, with the adapter's file and line when they are known.

    The whole report with the last answers is kept in a log.
    """
    adapter = platform.adapter
    said = _tried("trial", addresses, platform, fans, paths.root / "trial.json")
    found = _decoded(said, TrialReport, adapter)
    (paths.logs / "trial.json").write_text(
        redacted(said.out.strip().rpartition(b"\n")[2].decode("utf-8", "replace"), secret_values(platform))
    )
    _raise_first(found.problems, platform, adapter)
    return found


def check(addresses: Addresses, platform: OwnPlatform, spec: Path, *, declines: bool = True) -> TrialReport:
    """Try every verb, with one fan, then with two at once. `spec`: a file to write. Raises InputError on a time-out."""
    said = _tried("check", addresses, platform, 0, spec, declines=declines)
    return _decoded(said, TrialReport, platform.adapter)


def _secrets(platform: OwnPlatform | None) -> tuple[str, ...]:
    return secret_values(platform) if platform else ()


class _Said(msgspec.Struct, frozen=True):
    what: str
    code: int
    out: bytes
    err: str


def _tried(
    what: str, addresses: Addresses, platform: OwnPlatform, people_from: int, spec: Path, *, declines: bool = True
) -> _Said:
    within_s = min(max(platform.limits.whole_s * _HOPS_MAX, _TRIED_AT_LEAST_S), _TRIED_AT_MOST_S)
    trial = TrialSpec(adapter=platform.adapter, addresses=addresses, people_from=people_from, declines=declines)
    spec.write_bytes(msgspec.json.encode(trial))
    try:
        return _asked([what, str(spec)], platform, platform.adapter, within_s)
    finally:
        spec.unlink(missing_ok=True)


def _asked(arguments: Sequence[str], platform: OwnPlatform | None, adapter: str, within_s: float) -> _Said:
    process: subprocess.Popen[bytes] | None = None
    try:
        with uninterrupted():
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.adapter", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child_environment({}),
                start_new_session=True,
                preexec_fn=tied_to_parent(signal.SIGKILL),  # noqa: PLW1509 - it calls the kernel and nothing else
            )
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"did not end within {within_s:g} s in `{arguments[0]}`",
            file=_shown(_file_of(adapter)),
            hint="does it hang?",
        ) from None
    finally:
        if process is not None:
            _end(process)
    return _Said(arguments[0], process.returncode, out, redacted(err.decode("utf-8", "replace"), _secrets(platform)))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        family = below(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        end_all(family)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _decoded(said: _Said, kind: type[T], adapter: str) -> T:
    with contextlib.suppress(*NOT_JSON):
        return msgspec.json.decode(said.out.strip().rpartition(b"\n")[2], type=kind)  # an adapter may print, too
    lines = [line for line in said.err.splitlines() if line.strip()]
    last = f": {lines[-1].strip()[:_WORDS_MAX]}" if lines else ""
    raise InputError(
        f"the process that loads it {ending(said.code)} in `{said.what}` and said nothing{last}",
        file=_shown(_file_of(adapter)),
        hint="" if last else "does it call os._exit()?",
    )


def _raise_first(problems: Sequence[Problem], platform: OwnPlatform | None, adapter: str) -> None:
    """Raises InputError for the first problem, without the values of secrets."""
    if not problems:
        return
    first, more = problems[0], len(problems) - 1
    what = " ".join(redacted(first.what, _secrets(platform)).split())
    hint = f"and {more} more: see `gatecrash adapter check`" if more else ""
    if first.verb.startswith("platform."):  # what the scenario says, not what the adapter does
        raise InputError(what, key=first.verb, hint=hint)
    said = ": ".join(part for part in (first.verb, what) if part)
    said = said if len(said) <= _WORDS_MAX else f"{said[: _WORDS_MAX - 1]}…"
    file, _, line = first.where.rpartition(":")
    place = (file, int(line)) if file and line.isdigit() else (_file_of(adapter), None)
    raise InputError(said, file=_shown(place[0]) or None, line=place[1], hint=hint)


def _file_of(adapter: str) -> str:
    return adapter.rpartition(":")[0]


def _shown(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if file and path.is_absolute() and path.is_relative_to(here) else file

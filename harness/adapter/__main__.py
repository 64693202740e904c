"""`python -m harness.adapter WHAT …` prints JSON.

describe FILE:CLASS | journeys KIND=FILE:CLASS … | locustfile FILE | trial SPEC.json | check SPEC.json

Exit code 0: nothing is wrong; 2: something is. A SPEC.json is a `harness.adapter.checking.report.TrialSpec`. In a
process of its own, because an adapter loads gevent.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()  # isort: split - as in a worker of the swarm, before anything else is loaded

import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Final  # noqa: E402

import msgspec  # noqa: E402

from harness.adapter.checking.check import check  # noqa: E402
from harness.adapter.checking.describe import describe  # noqa: E402
from harness.adapter.checking.report import Description, Problem, TrialReport, TrialSpec  # noqa: E402
from harness.adapter.checking.trial import try_purchase  # noqa: E402
from harness.errors import GatecrashError  # noqa: E402
from harness.swarm.users.classes import journey_class  # noqa: E402
from harness.swarm.users.locustfile import users_of  # noqa: E402

_USAGE: Final = (
    "usage: python -m harness.adapter "
    "describe FILE:CLASS | journeys KIND=FILE:CLASS … | locustfile FILE | trial SPEC.json | check SPEC.json"
)


def main(arguments: list[str]) -> int:
    """Do what is asked and print what came of it."""
    match arguments:
        case ["describe", reference]:
            described = _described(reference)
            return _print(described, ok=not described.problems)
        case ["journeys", *references]:
            loaded = _loaded(lambda: [journey_class(*reference.split("=", 1)) for reference in references])
            return _print(loaded, ok=not loaded.problems)
        case ["locustfile", file]:
            loaded = _loaded(lambda: users_of(file, ""))
            return _print(loaded, ok=not loaded.problems)
        case ["trial" | "check" as what, file]:
            report = _tried(what, file)
            return _print(report, ok=report.ok)
        case _:
            print(_USAGE, file=sys.stderr)
            return 2


def _loaded(load: Callable[[], object]) -> Description:
    """What is wrong with files that say what users do."""
    try:
        load()
    except GatecrashError as error:
        return Description(uses_kit=False, capabilities=(), problems=(Problem(str(error)),))
    return Description(uses_kit=False, capabilities=())


def _described(reference: str) -> Description:
    try:
        return describe(reference)
    except GatecrashError as error:
        return Description(adapter=reference, uses_kit=False, capabilities=(), problems=(Problem(str(error)),))


def _tried(what: str, file: str) -> TrialReport:
    try:
        spec = msgspec.json.decode(Path(file).read_bytes(), type=TrialSpec)
        return try_purchase(spec) if what == "trial" else check(spec)
    except GatecrashError as error:
        return TrialReport(ok=False, capabilities=(), problems=(Problem(str(error)),), verbs=())


def _print(document: msgspec.Struct, *, ok: bool) -> int:
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    return 0 if ok else 2


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a thread that an adapter began would keep the process

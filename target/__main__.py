"""`python -m target booking|worker|feed|payments|migrate`: one role of the booking system in the foreground.

`python -m target bugs` tells the planted bugs, one JSON document a line; `python -m target check` only looks at the
settings; `python -m target metrics` tells the names of its metrics, each with its labels, one a line.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

from target.settings import Settings, SettingsError, from_environment, refuse_public_secrets

ROLES: Final = ("booking", "worker", "feed", "payments")

USAGE: Final = (
    f"usage: python -m target {'|'.join(ROLES)}|migrate|bugs|check|metrics   (settings: environment variables TARGET_*)"
)


def main(arguments: list[str]) -> int:
    """Runs the role named by the one argument. Returns the exit code; 2 is a bad argument or setting."""
    if arguments == ["bugs"]:
        return _tell_bugs()
    if arguments == ["metrics"]:
        return _tell_metrics()
    if len(arguments) != 1 or arguments[0] not in (*ROLES, "migrate", "check"):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    try:
        settings = from_environment(os.environ)
        if arguments == ["check"]:
            _check(settings)
        else:
            refuse_public_secrets(arguments[0], settings)
            run_role(arguments[0], settings)
    except SettingsError as error:
        sys.stderr.write(f"target: {error}\n")
        return 2
    return 0


def run_role(role: str, settings: Settings) -> None:
    """Runs `role` until it is told to stop; `migrate` ends by itself."""
    if role == "migrate":
        _migrate(settings)
    elif role == "feed":
        from target.feed import node

        node.serve(settings)
    else:
        from target.runtime.serving import serve

        serve(f"target.roles.factories:{role}", settings)


def _check(settings: Settings) -> None:
    """Raises SettingsError for a venue or switches that no role could work with."""
    from target.payments.switches import SwitchesError, parse
    from target.seats import venue

    venue.load(settings.venue, settings.event, accessible_pairs=settings.accessible_pairs)
    try:
        parse(settings.payment_switches)
    except SwitchesError as error:
        raise SettingsError(f"TARGET_PAYMENT_SWITCHES={error}") from error


def _tell_bugs() -> int:
    import msgspec

    from target.bugs.catalogue import BUGS

    for bug in sorted(BUGS.values(), key=lambda bug: bug.name):
        told = {"name": bug.name, "description": bug.description, "breaks": bug.breaks}
        sys.stdout.write(f"{msgspec.json.encode(told).decode()}\n")
    return 0


def _tell_metrics() -> int:
    from target.payments import courier
    from target.telemetry import metrics

    for name, labels in sorted(metrics.names_of(vars(metrics).values(), vars(courier).values()).items()):
        sys.stdout.write(f"{' '.join((name, *labels))}\n")
    return 0


def _migrate(settings: Settings) -> None:
    from target.roles.prepare import prepare
    from target.runtime.breakers import UnavailableError

    try:
        asyncio.run(prepare(settings))
    except UnavailableError as error:
        sys.exit(f"target: {error}")  # exit code 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

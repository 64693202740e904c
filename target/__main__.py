"""`python -m target booking|worker|feed|payments|migrate`: one role of the booking system in the foreground.

`python -m target bugs` tells the planted bugs, one JSON document a line.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Final

from target.settings import Settings, SettingsError, from_environment, refuse_public_secrets

ROLES: Final = ("booking", "worker", "feed", "payments")

USAGE: Final = f"usage: python -m target {'|'.join(ROLES)}|migrate|bugs   (settings: environment variables TARGET_*)"


def main(arguments: list[str]) -> int:
    """Runs the role named by the one argument. Returns the exit code; 2 is a bad argument or setting."""
    if arguments == ["bugs"]:
        return _tell_bugs()
    if len(arguments) != 1 or arguments[0] not in (*ROLES, "migrate"):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    try:
        settings = from_environment(os.environ)
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


def _tell_bugs() -> int:
    import msgspec

    from target.bugs.catalogue import BUGS

    for bug in sorted(BUGS.values(), key=lambda bug: bug.name):
        told = {"name": bug.name, "description": bug.description, "breaks": bug.breaks}
        sys.stdout.write(f"{msgspec.json.encode(told).decode()}\n")
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

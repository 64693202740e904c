"""`python -m chaos.proxy`: the fault proxy as its own process. Ready when GET /version answers; ends on SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chaos.proxy.server import ServerSettings, serve
from harness.errors import GatecrashError


def main() -> int:
    """Serve until a signal says to stop. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.proxy", description=__doc__)
    parser.add_argument("--host", default="localhost", help="address of the HTTP API")
    parser.add_argument("--port", type=int, default=8474, help="port of the HTTP API")
    parser.add_argument("--config", type=Path, help="JSON file: proxies to create at the start")
    parser.add_argument("--seed", type=int, help="make toxicity, jitter, slices and drops repeatable")
    parser.add_argument("--strict", action="store_true", help="only what Toxiproxy has, no extension")
    parser.add_argument("--proxy-metrics", action="store_true", help="serve /metrics in strict mode too")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="answer to this Host too; * for every one"
    )
    given = parser.parse_args()
    try:
        serve(ServerSettings(**{**vars(given), "allow_host": tuple(given.allow_host)}))
    except GatecrashError as error:
        print(f"gatecrash toxiproxy: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

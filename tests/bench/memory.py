"""What one waiting user costs a worker process: an armed fan, a held event stream, a held WebSocket.

`python -m tests.bench.memory`. Resident memory of the process per user, after a garbage collection, with the swarm's
real clients, recording on, one parked greenlet for each, as in a rehearsal; at three sizes, to see whether it stays the
same. Beside it a bare gevent socket with a greenlet that waits for it, and a greenlet that waits for nothing at all.
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.bench import held, rounds

WAITING = {
    "greenlet": "a greenlet that waits, alone",
    "raw": "a bare gevent socket and its greenlet",
    "armed": "an armed fan: connected, first request serialised",
    "sse": "a held event stream",
    "ws": "a held WebSocket",
}
SIZES = (600, 1800, 6000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory")
    parser.add_argument("--rounds", type=int, help="ignored: a size is a round")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    asked = parser.parse_args()
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in WAITING}
    for name in WAITING:
        for users in asked.sizes:
            figures = held.measure(name, users, 1)
            assert figures["held"] == users, figures
            measured[name].append({"users": users, "bytes_each": figures["client_bytes_each"]})
            print(f"  {name}: {measured[name][-1]}", file=sys.stderr)
    slopes = {
        name: rounds.slope([(one["users"], one["users"] * one["bytes_each"]) for one in sizes])
        for name, sizes in measured.items()
    }
    document = {"what": "resident memory of the worker per waiting user", **measured, "growth_slope": slopes}
    path = rounds.write("memory", document)
    rounds.publish("memory", table(measured, slopes))
    largest = {name: sizes[-1]["bytes_each"] for name, sizes in measured.items()}
    print(f"memory: {json.dumps(largest)} bytes each ({path})")
    return 0


def table(measured: dict[str, list[dict[str, float]]], slopes: dict[str, float]) -> list[str]:
    sizes = [one["users"] for one in next(iter(measured.values()))]
    lines = [
        "| Memory of one | " + " | ".join(f"of {size:,}" for size in sizes) + " | slope of the whole |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for name, what in WAITING.items():
        each = " | ".join(f"{one['bytes_each'] / 1000:.1f} kB" for one in measured[name])
        lines.append(f"| {what} | {each} | {slopes[name]} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())

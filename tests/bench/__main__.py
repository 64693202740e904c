"""`python -m tests.bench [NAME …] [--rounds N]`: all benchmarks, or those named."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = (
    "accuracy",
    "admission",
    "arrival",
    "audit",
    "bookings",
    "bots",
    "client",
    "fanout",
    "faults",
    "held",
    "holds",
    "journeys",
    "kit",
    "memory",
    "proxy",
    "release",
    "scale",
    "verbs",
    "waiting",
)


def main() -> int:
    names = [name for name in sys.argv[1:] if name in NAMES]
    options = [option for option in sys.argv[1:] if option not in NAMES]
    for name in names or NAMES:
        sys.argv = [f"tests.bench.{name}", *options]
        import_module(f"tests.bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How long the machine takes from `gatecrash init` to the first verdict on a shop of one's own.

`python -m tests.bench.first_verdict` follows the page docs/own-platform.md from an empty folder, up to the first
rehearsal with the adapter that is written there. Printed: each command's time, their sum, and how many lines somebody
has to write meanwhile, which no machine can time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.e2e.tutorial import Reader, blocks

LAST: Final = "gatecrash rehearse first.yaml --out runs/first"
WRITTEN: Final = ("myshop.py", "first.yaml")


def main() -> int:
    """Prints a table in Markdown."""
    with tempfile.TemporaryDirectory(prefix="gatecrash-") as folder:
        Path(folder).chmod(0o711)
        reader = Reader(Path(folder))
        try:
            for block in blocks():
                reader.follow(block)
                if LAST in reader.took_s:
                    break
        finally:
            reader.leave()
        lines = {name: len((reader.folder / name).read_text().splitlines()) for name in WRITTEN}
    rows = [f"| `{line}` | {took_s:.1f} |" for line, took_s in reader.took_s.items()]
    table = ["| Command | s |", "|---|---|", *rows, f"| all of them | {sum(reader.took_s.values()):.1f} |"]
    written = ", ".join(f"{count} lines of {name}" for name, count in lines.items())
    sys.stdout.write("\n".join([*table, "", f"Written by hand: {written}.", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the parent, the master and the workers say to each other, and over which channel."""

from __future__ import annotations

from typing import Final

KEY_VARIABLE: Final = "GATECRASH_WORKER_KEY"
"""Names the run's key to a rehearsal and to its worker machines, in place of one that is drawn and of `--key`."""

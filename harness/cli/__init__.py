"""The command line of gatecrash. This package is the composition root: the only one that imports chaos and reports."""

from harness.cli import commands
from harness.cli.entry import main

__all__ = ["commands", "main"]

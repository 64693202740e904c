"""The commands of gatecrash. This package is the composition root: the only one that imports chaos and reports.

The modules with commands are imported in the order in which `--help` lists them.
"""

from harness.cli import rehearsing  # isort: skip
from harness.cli import judging  # isort: skip
from harness.cli import machines  # isort: skip
from harness.cli import services  # isort: skip
from harness.cli import catalogue  # isort: skip
from harness.cli import adapters  # isort: skip
from harness.cli import scaffolding  # isort: skip
from harness.cli.entry import main

__all__ = ["adapters", "catalogue", "judging", "machines", "main", "rehearsing", "scaffolding", "services"]

"""The commands, imported in the order in which `--help` lists them."""

from harness.cli.commands import rehearsing  # isort: skip
from harness.cli.commands import climbing  # isort: skip
from harness.cli.commands import finished_runs  # isort: skip
from harness.cli.commands import history  # isort: skip
from harness.cli.commands import machines  # isort: skip
from harness.cli.commands import services  # isort: skip
from harness.cli.commands import catalogue  # isort: skip
from harness.cli.commands import adapters  # isort: skip
from harness.cli.commands import scaffolding  # isort: skip

__all__ = [
    "adapters",
    "catalogue",
    "climbing",
    "finished_runs",
    "history",
    "machines",
    "rehearsing",
    "scaffolding",
    "services",
]

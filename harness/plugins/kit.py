"""What authors of plugins import: `from gatecrash.plugins import …` is this module.

In an installed wheel this file is `gatecrash/plugins.py`; in a checkout `harness.swarm.users.loader` offers it.
"""

from __future__ import annotations

from harness.audit.history import Evidence
from harness.audit.spec import InvariantSpec as Invariant
from harness.audit.tally import Moment, Tally, at_rest, during
from harness.plugins.plugin import FaultKind, NoOptions, Place, Plugin, Prepared, Section, Table
from harness.record.reader import Record
from harness.record.verdict import Verdict
from harness.registry.capabilities import Capability
from harness.sli.indicators import IndicatorSpec as Indicator
from harness.sli.measured import Measured, Observations
from harness.sli.samples import Samples, share_of

__all__ = [
    "Capability",
    "Evidence",
    "FaultKind",
    "Indicator",
    "Invariant",
    "Measured",
    "Moment",
    "NoOptions",
    "Observations",
    "Place",
    "Plugin",
    "Prepared",
    "Record",
    "Samples",
    "Section",
    "Table",
    "Tally",
    "Verdict",
    "at_rest",
    "during",
    "share_of",
]

"""Service level indicators, measured from the record."""

from harness.sli.funnel import outcome_share
from harness.sli.indicators import INDICATORS, IndicatorSpec, measure
from harness.sli.latency import step_latency_ms
from harness.sli.measured import IndicatorValue, Measured, percentile

__all__ = [
    "INDICATORS",
    "IndicatorSpec",
    "IndicatorValue",
    "Measured",
    "measure",
    "outcome_share",
    "percentile",
    "step_latency_ms",
]

"""Service level indicators, measured from the record."""

from harness.sli.indicators import INDICATORS, IndicatorSpec, measure
from harness.sli.measured import IndicatorValue, Measured, percentile
from harness.sli.measures.funnel import outcome_share
from harness.sli.measures.latency import step_latency_ms

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

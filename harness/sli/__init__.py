"""The record in, service level indicators out."""

from harness.sli.funnel import outcome_share
from harness.sli.indicators import INDICATORS, measure
from harness.sli.latency import step_latency_ms
from harness.sli.measured import IndicatorValue, Measured, percentile
from harness.sli.spec import IndicatorSpec

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

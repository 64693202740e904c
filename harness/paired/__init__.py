"""Two runs side by side: what the faults did, apart from what the spike did.

The control has the same seed, the same fans and the same arrivals as the treatment, and no fault. Pure: two records in,
`harness.record.verdict.Paired` out.
"""

from harness.paired.compare import compare, left_out

__all__ = ["compare", "left_out"]

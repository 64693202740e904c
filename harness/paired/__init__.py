"""Compares two runs, to tell the effects of the faults from the effects of the spike.

The control has the same seed, the same fans and the same arrivals as the treatment, and no fault. The comparison is
pure: two judged records in, `harness.record.verdict.Paired` out.
"""

from harness.paired.compare import added, compare, is_paired, left_out
from harness.paired.words import in_words

__all__ = ["added", "compare", "in_words", "is_paired", "left_out"]

"""Whether faults took effect (canaries) and whether the platform behaved as expected."""

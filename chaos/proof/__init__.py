"""Proves with canaries that faults took effect, and judges whether the platform behaved as expected."""

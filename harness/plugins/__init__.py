"""Plugins: indicators, invariants, fault kinds and report sections of other packages, found by their entry points."""

from harness.plugins.loading import Loaded, fault_kind, fault_kinds, install, installed, judging, problems, used

__all__ = ["Loaded", "fault_kind", "fault_kinds", "install", "installed", "judging", "problems", "used"]

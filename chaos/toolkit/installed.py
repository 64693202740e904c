"""In an installed wheel this file is the module `gatecrash.chaostoolkit`: importing it puts the rooms on the path."""

from chaos.toolkit import canary, drill, expectation, heal, inject, metric, proven, verdict

__all__ = ["canary", "drill", "expectation", "heal", "inject", "metric", "proven", "verdict"]

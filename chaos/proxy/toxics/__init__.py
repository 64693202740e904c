"""One toxic, one file; here they get the names by which they are asked for."""

from __future__ import annotations

from typing import Any, Final

from chaos.proxy.toxics.bandwidth import BandwidthStage
from chaos.proxy.toxics.latency import LatencyStage
from chaos.proxy.toxics.limit_data import LimitDataStage
from chaos.proxy.toxics.noop import NoopStage
from chaos.proxy.toxics.reset_peer import ResetPeerStage
from chaos.proxy.toxics.slicer import SlicerStage
from chaos.proxy.toxics.slow_close import SlowCloseStage
from chaos.proxy.toxics.stage import Stage
from chaos.proxy.toxics.timeout import TimeoutStage

# Each stage has its own attributes; the collection pairs them by `attributes_type`.
TOXICS: Final[dict[str, type[Stage[Any]]]] = {
    "bandwidth": BandwidthStage,
    "latency": LatencyStage,
    "limit_data": LimitDataStage,
    "noop": NoopStage,
    "reset_peer": ResetPeerStage,
    "slicer": SlicerStage,
    "slow_close": SlowCloseStage,
    "timeout": TimeoutStage,
}

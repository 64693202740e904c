"""noop: changes nothing. A place holder that clients may set."""

from __future__ import annotations

from chaos.proxy.toxics.stage import Attributes, Stage


class NoopStage(Stage[Attributes]):
    """Passes everything on."""

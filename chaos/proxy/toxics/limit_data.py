"""limit_data: lets exactly `bytes` bytes through, then closes the connection."""

from __future__ import annotations

from typing import ClassVar

from chaos.proxy.toxics.stage import Attributes, Holder, Stage


class LimitData(Attributes, frozen=True):
    """In bytes, counted per connection."""

    bytes: int = 0


class LimitDataStage(Stage[LimitData]):
    """The count survives a change of the limit."""

    attributes_type: ClassVar[type[Attributes]] = LimitData

    def __init__(self, link: Holder, attributes: LimitData) -> None:
        super().__init__(link, attributes)
        self._passed_bytes = 0

    def feed(self, data: bytes, received_s: float) -> None:
        """Pass what the limit still allows."""
        allowed = data[: max(0, self.attributes.bytes - self._passed_bytes)]
        if allowed:
            self._passed_bytes += len(allowed)
            self.next.feed(allowed, received_s)
        if self._passed_bytes >= self.attributes.bytes:
            self.next.end()

"""The operator's token of the little shop is in the environment."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "swordfish")

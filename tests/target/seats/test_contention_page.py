"""The page on contention shows the committed figures, and no others."""

from __future__ import annotations

import json

from tests.bench.contention_page import BEGIN, END, PAGE, table
from tests.bench.rounds import RESULTS


def test_the_page_shows_the_committed_figures() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == table(json.loads((RESULTS / "holds.json").read_text())).strip()

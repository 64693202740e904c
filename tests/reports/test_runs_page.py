"""The index of the runs of a folder."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.runs.past import PastRun, past_runs
from reports import runs_page
from tests.harness.runs.test_comparable import slower, written
from tests.reports.pages import Page

HOSTILE = """</style><script>alert("1")</script>'"&{{ 7*7 }}"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[PastRun, ...]:
    folder = tmp_path_factory.mktemp("runs")
    written(folder, "a", "2026-11-20T10:00:00Z")
    verdict = written(folder, "b", "2026-11-21T10:00:00Z")
    (folder / "b" / "verdict.json").write_bytes(msgspec.json.encode(slower(verdict, 4000.0, 22.0)))
    (folder / "b" / "report.html").write_text("")
    written(folder, "c", "2026-11-22T10:00:00Z", stack="compose")
    return tuple(past_runs(folder))


def test_the_page_is_well_formed_and_asks_the_network_for_nothing(found: tuple[PastRun, ...]) -> None:
    for runs in (found, ()):
        page = Page(runs_page.render(runs))
        assert page.problems == []
        assert len(page.ids) == len(set(page.ids))
        assert page.resources == ["data:,"]
        assert "script" not in page.tags
        assert {target[1:] for target in page.targets if target.startswith("#")} <= set(page.ids)


def test_it_leads_to_reports_and_says_what_was_worse_and_what_cannot_be_compared(found: tuple[PastRun, ...]) -> None:
    page = Page(runs_page.render(found))
    assert [target for target in page.targets if not target.startswith("#")] == ["b/report.html"]
    assert "not comparable with b: its stack is embedded" in page.words
    assert "worse Hold response time, p99: 1,912 ms → 4,000 ms" in page.words


def test_trends_are_drawn_over_like_runs_only(found: tuple[PastRun, ...]) -> None:
    compose, paper = runs_page.index(found).series
    assert (compose.spark, compose.changes) == ("", ())
    assert paper.columns == ("a", "b")
    hold = next(row for row in paper.indicators if row.title == "Hold response time, p99")
    assert (hold.first, hold.newest) == ("1,912\u00a0ms", "4,000\u00a0ms")
    assert hold.spark == "0.0,10.4 100.0,1.0"
    assert hold.effect is not None
    assert hold.effect.word == "worse"
    assert all(row.effect is None for row in paper.indicators if row is not hold)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    [run] = past_runs(tmp_path)
    named = msgspec.structs.replace(run, verdict=msgspec.structs.replace(run.verdict, scenario=HOSTILE))
    page = Page(runs_page.render([named]))
    assert page.problems == []
    assert "script" not in page.tags

"""The report on a platform of one's own that sells tickets of pools, without a queue and without seats."""

from __future__ import annotations

from pathlib import Path

import pytest

import reports
from harness.audit import audit
from harness.judging.grade import grade
from harness.record.reader import Record
from harness.record.verdict import Decision, Verdict
from harness.sli import measure
from reports import view
from tests.paper_stock import StockSale, UnreservedSale
from tests.reports.pages import Page


def judged(record: Record) -> Verdict:
    return grade(record, measure(record), audit(record), ())


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return Record.open(StockSale().write(tmp_path_factory.mktemp("stock")).root)


@pytest.fixture(scope="module")
def page(record: Record) -> Page:
    reports.write(record, judged(record))
    return Page(record.paths.report_html.read_text(encoding="utf-8"))


def test_the_sale_is_ready_by_all_that_it_can_show(record: Record) -> None:
    verdict = judged(record)
    assert (verdict.verdict, verdict.grade) == (Decision.READY, "A")


def test_the_page_tells_of_no_queue_and_of_no_seat(record: Record, page: Page) -> None:
    assert page.problems == []
    steps = [row.title for row in view.build(record, judged(record)).funnel]
    assert steps == ["First page", "Saw what is left", "Held tickets", "Asked to pay", "Has a ticket"]
    titles = {row.title for row in view.build(record, judged(record)).indicators}
    assert "Stock response p95" in titles
    assert "First page response p99" in titles
    assert not [title for title in titles if "ueue" in title]
    assert not [title for title in titles if "eat map" in title]


def test_where_choosing_keeps_nothing_neither_funnel_nor_figures_know_holds(tmp_path: Path) -> None:
    record = Record.open(UnreservedSale().write(tmp_path).root)
    verdict = judged(record)
    assert (verdict.verdict, verdict.grade) == (Decision.READY, "A")
    shown = view.build(record, verdict)
    steps = [row.title for row in shown.funnel]
    assert steps == ["First page", "Saw what is left", "Chose tickets", "Asked to pay", "Has a ticket"]
    titles = {row.title for row in shown.indicators}
    assert "Choice response p95" in titles
    assert not [title for title in titles if "basket" in title.lower() or "hold" in title.lower()]
    assert next(row for row in verdict.slis if row.name == "payment_failure_ratio").value == 0


def test_a_stock_that_no_operator_reads_holds_the_grade_at_b(tmp_path: Path) -> None:
    sale = UnreservedSale()
    for name in ("baseline_stock", "final_stock"):
        sale.tables[name].clear()
    verdict = judged(Record.open(sale.write(tmp_path).root))
    assert (verdict.verdict, verdict.grade) == (Decision.READY, "B")
    assert "does not show what is left of its pools" in verdict.reason


def test_what_a_platform_of_pools_has_not_is_not_called_untested(record: Record) -> None:
    gaps = view.build(record, judged(record)).untested
    assert not [gap for gap in gaps if "seat" in gap.what.lower() or "queue" in gap.what.lower() or gap.what == "Bots"]


def test_the_page_uses_the_words_of_the_platform(record: Record, page: Page) -> None:
    titles = {row.title for row in view.build(record, judged(record)).indicators}
    assert "Basket response p95" in titles
    assert "a platform of your own at http://127.0.0.1:8000/onsale/finals (myshop.py:MyShop)" in page.words


def test_the_requests_of_a_verb_are_told_by_page(tmp_path: Path) -> None:
    sale = StockSale()
    pays = [row for row in sale.tables["requests"] if row["step"] == "pay"]
    for at, row in enumerate(pays):
        row["page"] = ("GET /checkout/{n}", "POST /checkout/{n}")[at % 2]
    record = Record.open(sale.write(tmp_path).root)
    titles = [row.title for row in view.build(record, judged(record)).timings]
    at = titles.index("Pay")
    assert sorted(titles[at + 1 : at + 3]) == ["· GET /checkout/{n}", "· POST /checkout/{n}"]
    assert sum("·" in title for title in titles) == 2


def test_an_oversell_is_told_on_the_page(tmp_path: Path) -> None:
    record = Record.open(StockSale().oversell().write(tmp_path).root)
    verdict = judged(record)
    assert verdict.verdict is Decision.NOT_READY
    reports.write(record, verdict)
    words = Page(record.paths.report_html.read_text(encoding="utf-8")).words
    assert "were on sale; beyond that: order-0050" in words


def test_a_shop_that_sells_nothing_did_not_sell(tmp_path: Path) -> None:
    sale = StockSale()
    for op in sale.tables["operations"]:
        if op["function"] == "hold":
            op |= {"outcome": "fail", "error": "status", "key": ""}
    sale.tables["operations"] = [op for op in sale.tables["operations"] if op["function"] in ("stock", "hold")]
    for number, op in enumerate(sale.tables["operations"]):
        op["op"] = number
    sale.tables["requests"] = [one for one in sale.tables["requests"] if one["step"] in ("queue_page", "stock", "hold")]
    for number, request in enumerate(sale.tables["requests"]):
        request["seq"] = number
    sale.tables["final_orders"].clear()
    sale.tables["final_ledger"].clear()
    sale.tables["final_stock"] = sale.tables["baseline_stock"]
    verdict = judged(Record.open(sale.write(tmp_path).root))
    assert verdict.verdict is Decision.NOT_READY
    assert verdict.reason == "The sale did not take place: 40 fans came and nobody could hold a ticket."

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.reader import Record
from harness.sli.examinations.money import money
from harness.sli.measured import Observations
from reports.view import frames
from reports.view.journeys import journey
from reports.view.journeys.journey import FunnelRow
from tests.builders import RunBuilder


def funnel(record: Record) -> dict[str, FunnelRow]:
    return {row.title: row for row in journey.funnel(record, frames.read(record))}


def test_the_steps_follow_the_journey_and_never_grow(record: Record) -> None:
    rows = journey.funnel(record, frames.read(record))
    assert [row.title for row in rows] == [
        "Queue page",
        "Joined the queue",
        "Admitted",
        "Saw the seat map",
        "Held seats",
        "Asked to pay",
        "Has a ticket",
    ]
    reached = [int(row.reached.replace(",", "")) for row in rows]
    assert reached == sorted(reached, reverse=True)
    assert rows[0].share.replace("\u00a0", " ") == "100 %"


def test_tickets_are_those_that_some_answer_confirmed(record: Record) -> None:
    operations = record.table("operations").to_pandas()
    confirmed = operations[(operations["outcome"] == "ok") & operations["value"].str.contains('"confirmed"')]
    assert funnel(record)["Has a ticket"].reached == str(confirmed["actor"].nunique())


def test_losses_are_explained_to_the_last_buyer(record: Record) -> None:
    for row in journey.funnel(record, frames.read(record)):
        explained = sum(int(part.split()[0].replace(",", "")) for part in row.reasons.split(", ") if part)
        assert explained == int(row.lost.removeprefix("−") or 0), row


@pytest.mark.parametrize(
    ("error", "said"), [("conflict", "somebody else was faster"), ("stopped", "still under way when the run ended")]
)
def test_the_last_error_of_each_is_the_reason(error: str, said: str, tmp_path: Path) -> None:
    builder = RunBuilder(fans=20)
    holds = [op for op in builder.tables["operations"] if op["function"] == "hold"]
    for hold in holds[:3]:
        hold |= {"outcome": "unknown" if error == "stopped" else "fail", "error": error, "key": ""}
        actor = hold["actor"]
        later = [
            op for op in builder.tables["operations"] if op["actor"] == actor and op["function"] in ("pay", "order")
        ]
        for op in later:
            builder.tables["operations"].remove(op)
    record = Record.open(builder.write(tmp_path).root)
    assert said in funnel(record)["Held seats"].reasons


def test_payments_that_were_pending_and_declined_at_rest_are_what_the_table_of_money_says(tmp_path: Path) -> None:
    """Nine fans were told "pending" and never looked again; at rest all nine orders are declined, none pending."""
    builder = RunBuilder(fans=40)
    pays = [op for op in builder.tables["operations"] if op["function"] == "pay" and op["outcome"] == "ok"][:9]
    keys = {str(pay["key"]): str(pay["actor"]) for pay in pays}
    for pay in pays:
        pay["value"] = str(pay["value"]).replace("confirmed", "pending")
    builder.tables["operations"] = [
        op for op in builder.tables["operations"] if op["function"] != "order" or op["actor"] not in keys.values()
    ]
    lost = {row["order_id"] for row in builder.tables["final_orders"] if row["idempotency_key"] in keys}
    for row in builder.tables["final_orders"]:
        row["state"] = "declined" if row["order_id"] in lost else row["state"]
    for entry in builder.tables["final_ledger"]:
        entry["entry"] = "decline" if entry["order_id"] in lost else entry["entry"]
    record = Record.open(builder.write(tmp_path).root)
    figures = {figure.name: figure.value for figure in money(Observations(record))}
    declined = len({row["order_id"] for row in builder.tables["final_orders"] if row["state"] == "declined"})
    row = funnel(record)["Has a ticket"]
    assert (figures["intents_in_flight"], figures["intents_never_charged"]) == (0, declined)
    assert f"{declined} card declined" in row.reasons
    assert "pending" not in row.reasons
    assert int(row.reached) == figures["intents_ticketed"]


def test_fans_who_looked_at_a_map_without_a_free_seat_did_not_just_leave(tmp_path: Path) -> None:
    builder = RunBuilder(fans=60)
    holds = [op for op in builder.tables["operations"] if op["function"] == "hold"][:7]
    actors = {hold["actor"] for hold in holds}
    gone = ("hold", "pay", "order", "release")
    builder.tables["operations"] = [
        op for op in builder.tables["operations"] if op["actor"] not in actors or op["function"] not in gone
    ]
    for op, actor in enumerate(sorted(map(str, actors)), start=10_000):
        for look in range(6):
            free = 0 if actor != min(map(str, actors)) else 2
            builder.operation(0, "look", "", {"free": free}, 50.0 + look, 50.1 + look, actor=actor)["op"] = (
                op * 10 + look
            )
    record = Record.open(builder.write(tmp_path).root)
    reasons = funnel(record)["Held seats"].reasons
    assert "6 found nothing left" in reasons
    assert "1 found too little for their party" in reasons
    assert "made no attempt" not in reasons


def test_nobody_set_out(empty: Record) -> None:
    assert journey.funnel(empty, frames.read(empty)) == ()

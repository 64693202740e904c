from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.reader import Record
from reports.view import frames, journey
from reports.view.journey import FunnelRow
from tests.builders import RunBuilder


def funnel(record: Record) -> dict[str, FunnelRow]:
    return {row.title: row for row in journey.funnel(frames.read(record))}


def test_the_steps_follow_the_journey_and_never_grow(record: Record) -> None:
    rows = journey.funnel(frames.read(record))
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
    for row in journey.funnel(frames.read(record)):
        explained = sum(int(part.split()[0].replace(",", "")) for part in row.reasons.split(", ") if part)
        assert explained == int(row.lost.removeprefix("−") or 0), row


@pytest.mark.parametrize(
    ("error", "said"), [("conflict", "seat taken by another"), ("stopped", "still under way when the run ended")]
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


def test_nobody_set_out(empty: Record) -> None:
    assert journey.funnel(frames.read(empty)) == ()

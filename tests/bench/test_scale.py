"""The simulation of docs/scale.md: nothing of a crowd is lost, what is behind is worked off, the page follows."""

from __future__ import annotations

import msgspec
import pytest

from tests.bench import scale
from tests.bench.scale import Costs, Crowd, cost_of, kept, simulate, tables_of

CROWD = Crowd(users=1_000, requests=20_000, within_s=10.0, sale_s=600, calms_s=100.0)
COSTS = kept()


def costs(master_us: float) -> Costs:
    tables = {name: msgspec.structs.replace(one, master_us=master_us) for name, one in COSTS.tables.items()}
    return msgspec.structs.replace(COSTS, tables=tables)


@pytest.mark.parametrize("within_s", [1.0, 10.0, 12.5])
def test_everybody_comes_and_every_request_is_sent(within_s: float) -> None:
    crowd = msgspec.structs.replace(CROWD, within_s=within_s)
    sale = list(scale.seconds(crowd, COSTS, "requests"))
    assert sum(map(crowd.arrivals, range(crowd.sale_s))) == pytest.approx(1_000)
    assert sum(one.requests for one in sale) == pytest.approx(20_000)
    assert sum(one.operations for one in sale) == pytest.approx(3_000)
    assert sale[-1].events == pytest.approx(50)  # each of a thousand is told once in 20 s


def test_workers_that_keep_up_are_never_behind_and_half_of_their_cores_are() -> None:
    crowd = msgspec.structs.replace(CROWD, users=100_000, requests=2_000_000)
    enough = simulate(crowd, COSTS, 1).workers
    assert simulate(crowd, COSTS, enough).late_s == 0
    assert simulate(crowd, COSTS, enough // 2).late_s > 0


def test_a_queue_grows_by_what_is_not_done_and_is_worked_off() -> None:
    assert scale.most_behind_s([3.0, 0.5, 0.0, 1.25], cores=1) == 2.0
    assert scale.most_behind_s([3.0, 0.5, 0.0, 1.25], cores=2) == 0.5
    assert scale.most_behind_s([0.5, 0.7], cores=1) == 0.0


@pytest.mark.parametrize(
    ("master_us", "memory_bytes", "limit"),
    [
        (10_000.0, 10**15, "the master's core"),
        (0.1, 1_000, "memory of judging"),
        (0.1, 10**15, "the workers' cores"),
    ],
)
def test_what_machines_cannot_mend_is_named_first(master_us: float, memory_bytes: int, limit: str) -> None:
    run = simulate(CROWD, costs(master_us), 1)
    machine = msgspec.structs.replace(scale.SMALL, memory_bytes=memory_bytes)
    assert scale.limit_of(run, run, machine) == limit


@pytest.mark.parametrize("table", scale.MEASURED)
def test_a_row_has_a_cost(table: str) -> None:
    measured = cost_of(table, batches=2)
    assert min(measured.master_us, measured.kept_bytes) > 0
    assert measured.stream_bytes > measured.kept_bytes


@pytest.mark.parametrize("name", ["costs", "machines", "runs"])
def test_the_page_has_the_tables_that_follow_from_the_results(name: str) -> None:
    assert "\n".join(tables_of(COSTS)[name]) in scale.PAGE.read_text(encoding="utf-8")

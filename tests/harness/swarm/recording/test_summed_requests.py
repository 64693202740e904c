"""A swarm with more users than are recorded request by request: the others are summed up, and the run says so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow.compute as pc

from harness.record.histogram import expand
from harness.swarm.users.plan import whole_users
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import running, shop_spec
from tests.harness.swarm.test_swarm import shop


def test_the_requests_of_most_users_are_summed_up_and_none_is_lost(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", fans=30, workers=2)
        load = msgspec.structs.replace(spec.scenario.load, whole_users_max=10)
        spec = msgspec.structs.replace(spec, scenario=msgspec.structs.replace(spec.scenario, load=load))
        with running(spec) as swarm:
            _, finished, settled = swarm.to_the_end()
        sent = len(server.asked)
    rows, summed = swarm.table("requests"), expand(swarm.table("histograms"))
    assert settled.load.requests_sent == settled.load.samples_recorded == sent
    assert rows.num_rows + summed.num_rows == sent
    assert settled.load.summed == summed.num_rows > 0
    (note,) = finished.notes
    assert note.startswith(f"{finished.load.summed:,} of {finished.load.samples_recorded:,} requests are summed up")
    assert "10 of 30 users are recorded request by request" in note
    chosen = whole_users(spec.seed, load)
    assert chosen is not None
    of_fans = rows.filter(pc.equal(rows["kind"], "fan"))
    assert set(of_fans["user"].to_pylist()) == chosen["fan"]
    assert len(chosen["fan"]) == 10
    assert set(summed["step"].to_pylist()) <= {"queue_page", "join", "settle"}
    assert len(set(swarm.table("operations")["actor"].to_pylist())) == 30
    assert settled.load.users_released == 30

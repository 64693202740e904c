"""A swarm whose workers have more requests than rows to keep: they are counted, the sums agree, and the run says so."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.record.histogram import expand
from harness.swarm.messaging.protocol import Armed, Finished, ReleaseCommand, Settle, Settled
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import running, shop_spec
from tests.harness.swarm.test_swarm import shop


def test_what_is_too_much_for_rows_is_counted_whole(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", fans=30, workers=1)
        load = msgspec.structs.replace(spec.scenario.load, rows_waiting_max=20)
        spec = msgspec.structs.replace(spec, scenario=msgspec.structs.replace(spec.scenario, load=load))
        with running(spec) as swarm:
            swarm.expect(Armed)
            swarm.tell(ReleaseCommand())
            finished = swarm.expect(Finished)
            swarm.tell(Settle())
            settled = swarm.expect(Settled)
            assert swarm.ended() == 0
        sent = len(server.asked)
    counted = expand(swarm.table("histograms"))
    assert settled.load.requests_sent == settled.load.samples_recorded == sent
    assert swarm.table("requests").num_rows + counted.num_rows == sent
    assert settled.load.condensed == counted.num_rows > 0
    (note,) = finished.notes
    assert "per-second histograms" in note
    assert set(counted["step"].to_pylist()) <= {"queue_page", "join", "settle"}
    assert min(counted["t_start_s"].to_pylist()) > 0.0
    assert swarm.table("operations").num_rows > 0

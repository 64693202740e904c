"""Where canaries probe, when several experiments are planned for one run."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.tools import Tools
from chaos.injection.preflight import places_of
from chaos.proof.replica_probe import Replication
from chaos.specification import experiment


@dataclass(frozen=True)
class EveryLever:
    """Stack control of processes and servers of any name."""

    address: str = "127.0.0.1:5432"
    container: str = ""

    def process(self, _name: str) -> EveryLever:
        return self

    def postgres_dsn(self, server: str) -> str:
        return f"postgres://{server}"


def test_a_server_and_the_process_it_runs_in_are_two_places_of_one_name() -> None:
    stale, zone = experiment.load("replica-stale"), experiment.load("zone-loss")
    places = places_of([stale, zone], Tools(stack_control=EveryLever()))  # type: ignore[arg-type]
    assert isinstance(places["server", "postgres-replica"], Replication)
    assert places["process", "postgres-replica"] == ("127.0.0.1", 5432)

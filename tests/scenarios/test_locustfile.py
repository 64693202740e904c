"""`locust -f scenarios/locustfile.py` runs the same fans, started from anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.harness.swarm.scripted_server import Asked, response, serving

LOCUSTFILE = Path(__file__).parents[2] / "scenarios" / "locustfile.py"


def full_house(asked: Asked) -> list[bytes]:
    """A platform whose queue takes nobody."""
    if asked.target.endswith("/challenge"):
        return [response(b'{"kind":"none"}')]
    return [response(b"page") if asked.method == "GET" else response(b"", 410)]


def test_locust_runs_the_fans_and_counts_their_requests(tmp_path: Path) -> None:
    locust = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE)]
    with serving(full_house) as server:
        done = subprocess.run(
            [*locust, "--host", server.url, "--headless", "-u", "3", "-r", "3", "-t", "2s", "--json", "--seed", "7"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    counted = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert counted["queue_page"]["num_requests"] == 3
    assert counted["queue_page"]["num_failures"] == 0
    assert counted["join"]["num_failures"] == counted["join"]["num_requests"] > 0
    event = "/api/events/playoff-g1"
    assert {asked.target for asked in server.asked} == {"/queue/playoff-g1", f"{event}/challenge", f"{event}/queue"}

"""The profile `observe` of docker-compose.yml: what its files say of each other, of the services and of the metrics.

promtool, where it is in PATH, has the last word on Prometheus' own language.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

import target.telemetry.metrics  # noqa: F401 - declares the metrics that the exposition tells
from harness.stack.compose.command import FILE
from harness.stack.compose.ports import TARGETS
from target.telemetry.exposition import exposition

HERE = FILE.parent
SERVICES = yaml.safe_load(FILE.read_text())["services"]
SCRAPED = HERE / "compose" / "prometheus.yml"
DASHBOARDS = sorted((HERE / "compose" / "grafana" / "dashboards").glob("*.json"))
SOURCES = yaml.safe_load((HERE / "compose/grafana/datasources/gatecrash.yml").read_text())["datasources"]
PANELS = [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]
QUERIES = [query["expr"] for panel in PANELS for query in panel["targets"]]


def mounts(service: str) -> dict[str, Path]:
    """Path in the container → the file or folder of the repository."""
    found = (volume.split(":") for volume in SERVICES[service]["volumes"])
    return {inside: HERE / outside for outside, inside, mode in found if mode == "ro"}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool in PATH")
    return found


def test_every_part_of_the_booking_system_is_scraped() -> None:
    (job,) = yaml.safe_load(SCRAPED.read_text())["scrape_configs"]
    (group,) = job["static_configs"]
    assert sorted(group["targets"]) == sorted(f"{name}:8000" for name in TARGETS)
    assert set(TARGETS) <= set(SERVICES)
    assert mounts("prometheus")["/etc/prometheus/prometheus.yml"] == SCRAPED


def test_the_data_sources_are_services_of_the_profile() -> None:
    assert {source["uid"] for source in SOURCES} == {"prometheus", "traces"}
    for source in SOURCES:
        host = urlsplit(source["url"]).hostname
        assert host is not None
        assert "observe" in SERVICES[host]["profiles"]


def test_grafana_finds_its_files_where_they_are_mounted() -> None:
    inside = mounts("grafana")
    assert all(folder.is_dir() for folder in inside.values())
    (provider,) = yaml.safe_load((HERE / "compose/grafana/providers/gatecrash.yml").read_text())["providers"]
    folder = inside[provider["options"]["path"]]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (folder / home.name) in DASHBOARDS
    assert str(home.parent) == provider["options"]["path"]
    assert set(inside) >= {"/etc/grafana/provisioning/datasources", "/etc/grafana/provisioning/dashboards"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = json.loads(path.read_text())
    assert re.fullmatch("[a-zA-Z0-9_-]{1,40}", board["uid"])
    assert board["schemaVersion"] >= 36
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        assert panel["targets"], panel["title"]
        assert {query["datasource"]["uid"] for query in panel["targets"]} <= {source["uid"] for source in SOURCES}


def test_what_the_dashboards_show_is_what_the_booking_system_tells() -> None:
    page = exposition()[0].decode()
    told = {
        f"{name}{'_bucket' if kind == 'histogram' else ''}"
        for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE)
    }
    asked = {name for query in QUERIES for name in re.findall(r"\btarget_\w+", query)}
    assert len(asked) >= 15
    assert asked <= told


def test_prometheus_takes_its_configuration(promtool: str) -> None:
    checked = subprocess.run([promtool, "check", "config", str(SCRAPED)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_understands_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"panel:query:{at}", "expr": query} for at, query in enumerate(QUERIES)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout

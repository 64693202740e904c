"""Rehearsals of the little shop at addresses of their own, so that tests do not meet on the fixed ports of the shipped
scenario: that one itself, and shops of other kinds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.processes.ports import HOST, free_ports
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT, Rehearsed

SCENARIO = ROOT / "scenarios/little-shop.yaml"
KINDS = ROOT / "scenarios/little_shop/kinds.py"
PREPARE = ROOT / "scenarios/little_shop/prepare.sh"


@contextmanager
def little_shop_scenario(folder: Path, *, plant: str = "") -> Iterator[Path]:
    """A copy of the scenario; at the end the shop that its preparation has started is stopped."""
    web, provider, edge = (str(port) for port in free_ports(3))
    ours = {
        "8100": web,
        "9100": provider,
        "29100": edge,
        "/tmp/gatecrash-little-shop": str(folder),
        "little_shop/shop.py": str(ROOT / "scenarios/little_shop/shop.py"),
        "./little_shop/prepare.sh": f"{PREPARE} --plant {plant}" if plant else str(PREPARE),
    }
    file = folder / "little-shop.yaml"
    longest_first = sorted(map(re.escape, ours), key=len, reverse=True)
    file.write_text(re.sub("|".join(longest_first), lambda found: ours[found[0]], SCENARIO.read_text()))
    with _shop(folder, web, provider, f"http://127.0.0.1:{edge}"):
        yield file


def rehearsed(folder: Path, *options: str, plant: str = "") -> Rehearsed:
    """The rehearsal of the shop, with this bug planted."""
    with little_shop_scenario(folder, plant=plant) as file:
        return rehearsals.rehearse(folder, str(file), *options)


@contextmanager
def traced_scenario(folder: Path) -> Iterator[Path]:
    """The same of a shop that sends its spans to gatecrash, with OpenTelemetry's own SDK."""
    [port] = free_ports(1)
    python = folder / "python"
    python.write_text(
        f"""#!/bin/sh
[ "$2" = target.little_shop ] && {{ shift 2; set -- -m tests.target.little_shop.traced "$@"; }}
exec {sys.executable} "$@"
"""
    )
    python.chmod(0o755)
    with little_shop_scenario(folder) as file:
        traces = f"platform:\n  traces: {{listen: '{HOST}:{port}', wait_s: 2}}"
        told = f"OTEL_EXPORTER_OTLP_ENDPOINT=http://{HOST}:{port} OTEL_BSP_SCHEDULE_DELAY=200 PYTHON={python}"
        text = file.read_text().replace("platform:", traces, 1)
        file.write_text(text.replace("prepare: ", f"prepare: {told} ", 1))
        yield file


@contextmanager
def kind_scenario(
    folder: Path, adapter: str, shop: str, scenario: Mapping[str, Any], *, front: int = 0
) -> Iterator[Path]:
    """A scenario of another kind of shop. `adapter`: a class of scenarios/little_shop/kinds.py; `shop`: its options.

    `front`: the port of an edge on the way to it; 0: fans reach it directly.
    """
    web, provider, room = (str(port) for port in free_ports(3))
    platform = {
        "adapter": f"{KINDS}:{adapter}",
        "url": f"http://{HOST}:{front or web}/onsale",
        "prepare": f"{PREPARE} {shop}" + (" > prepared.txt" if front else ""),  # its url= would lead past the edge
        "secrets": {"token": "LITTLE_SHOP_TOKEN"},
        **scenario.get("platform", {}),
    }
    if front:
        edge = {"listen": f"{HOST}:{front}", "upstream": f"{HOST}:{web}", "probe": "http", "path": "/healthz"}
        platform["edges"] = {"front": edge}
    document = {"name": "kind", "description": f"The little shop as {adapter}.", **scenario, "platform": platform}
    file = folder / "kind.yaml"
    file.write_text(json.dumps(document, indent=1))  # JSON is YAML
    with _shop(folder, web, provider, f"http://127.0.0.1:{provider}", room):
        yield file


@contextmanager
def _shop(folder: Path, web: str, provider: str, payments: str, room: str = "0") -> Iterator[None]:
    """What the shop's preparation is told by the environment; in the end what it has started is stopped."""
    settings = {
        "LITTLE_SHOP_DIR": str(folder),
        "LITTLE_SHOP_PORT": web,
        "LITTLE_SHOP_PROVIDER_PORT": provider,
        "LITTLE_SHOP_ROOM_PORT": room,
        "LITTLE_SHOP_PAYMENTS": payments,
        "LITTLE_SHOP_TOKEN": "little-shop",
    }
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        subprocess.run([str(PREPARE), "stop"], check=True, timeout=60)
        os.environ.clear()
        os.environ.update(before)

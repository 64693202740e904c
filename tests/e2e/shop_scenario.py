"""The shipped scenario `little-shop` at addresses of its own, so that tests do not meet on its fixed ports."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.processes.ports import free_ports
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT, Rehearsed

SCENARIO = ROOT / "scenarios/little-shop.yaml"
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
    settings = {
        "LITTLE_SHOP_DIR": str(folder),
        "LITTLE_SHOP_PORT": web,
        "LITTLE_SHOP_PROVIDER_PORT": provider,
        "LITTLE_SHOP_PAYMENTS": f"http://127.0.0.1:{edge}",
        "LITTLE_SHOP_TOKEN": "little-shop",
    }
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield file
    finally:
        subprocess.run([str(PREPARE), "stop"], check=True, timeout=60)
        os.environ.clear()
        os.environ.update(before)


def rehearsed(folder: Path, *options: str, plant: str = "") -> Rehearsed:
    """The rehearsal of the shop, with this bug planted."""
    with little_shop_scenario(folder, plant=plant) as file:
        return rehearsals.rehearse(folder, str(file), *options)

"""A new user's first minutes: `init`, then `rehearse` in the new folder, and the verdict is READY."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.processes.ports import free_ports
from harness.record.verdict import Status
from tests.e2e import rehearsals

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("flags", [("--stock",), ("--seats", "--queue")], ids=" ".join)
def test_what_init_writes_is_green_at_once(tmp_path: Path, flags: tuple[str, ...]) -> None:
    folder = tmp_path / "onsale"
    environment = {**rehearsals.environment(tmp_path / "tmp"), "SHOP_PORT": str(free_ports(1)[0])}
    assert rehearsals.run(tmp_path / "tmp", "init", str(folder), *flags).returncode == 0
    try:
        done = subprocess.run(
            rehearsals.command("rehearse", "onsale.yaml"), cwd=folder, env=environment, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        verdict = rehearsals.verdict(rehearsals.only_run(folder / "runs"))
        held = {each.name for each in verdict.invariants if each.status is Status.HELD}
        assert {"money_reconciles", "bought_as_told", "no_lost_booking"} <= held
        assert ("no_double_sell" if "--seats" in flags else "no_oversell") in held
        assert ("queue_order" in held) == ("--queue" in flags)
    finally:
        stopped = {**os.environ, **environment}
        subprocess.run([folder / "prepare.sh", "stop"], env=stopped, check=True)

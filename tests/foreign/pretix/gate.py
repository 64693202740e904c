"""Rehearses pretix from nothing, for the gate: what gatecrash says of a platform that keeps its promises must be true.

`python -m tests.foreign.pretix.gate`: exit code 0 also where pretix cannot be had; then one line says so.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.processes.managed import ManagedProcess, child_environment
from tests.foreign.pretix.instance import HERE, install

MUST_HOLD = ("no_oversell", "bought_as_told", "no_leaked_stock", "no_lost_order", "money_reconciles")


def main() -> int:
    """Install, raise, rehearse, look at the verdict. 1: it is not what it must be."""
    for program in ("nginx", "openssl"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            return left_out(f"{program} is not installed")
    try:
        install()
    except subprocess.CalledProcessError as error:
        return left_out(f"its packages could not be installed (exit code {error.returncode})")
    with tempfile.TemporaryDirectory() as folder:
        verdict = rehearsed(Path(folder), child_environment({"PRETIX_TOKEN": secrets.token_hex(20)}))
    print(verdict["verdict"], verdict["grade"], verdict["reason"])
    problems = wrong(verdict)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def left_out(why: str) -> int:
    print(f"pretix is not rehearsed: {why}")
    return 0


def rehearsed(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """The verdict of one rehearsal on an instance that lives as long as that."""
    log = folder / "instance.log"
    instance = ManagedProcess(
        "pretix", [sys.executable, "-m", "tests.foreign.pretix.instance"], log=log, env=environment
    )
    try:
        instance.wait_healthy(lambda: "ready:" in log.read_text(), within_s=300)
        command = [
            sys.executable,
            "-m",
            "harness",
            "rehearse",
            str(HERE / "onsale.yaml"),
            "--out",
            str(folder / "runs"),
        ]
        subprocess.run(command, check=False, env=environment)
    finally:
        instance.stop(within_s=20)
    [path] = folder.glob("runs/*/verdict.json")
    return dict(json.loads(path.read_text()))


def wrong(verdict: dict[str, Any]) -> list[str]:
    """What is not as it must be: pretix sells no ticket twice, and gatecrash must have seen that it does not."""
    status = {invariant["name"]: invariant["status"] for invariant in verdict["invariants"]}
    problems = [f"{name} is violated" for name, how in status.items() if how == "violated"]
    problems += [f"{name} is {status[name]}" for name in MUST_HOLD if status[name] not in ("held", "violated")]
    if verdict["verdict"] not in ("READY", "NOT READY"):
        problems.append(f"{verdict['verdict']}: {verdict['reason']}")
    problems += [f"fault {fault['name']} was not proven" for fault in verdict["faults"] if not fault["proven"]]
    if verdict["load"]["requests_sent"] != verdict["load"]["samples_recorded"]:
        problems.append("requests were lost")
    return problems


if __name__ == "__main__":
    sys.exit(main())

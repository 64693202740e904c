"""The key of the seals in a whole rehearsal: no process but ours is ever started with it."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from harness.record.seal_key import FILE_VARIABLE, VARIABLE
from tests.e2e import rehearsals

pytestmark = pytest.mark.e2e


def who_has(secret: bytes) -> set[bytes]:
    """Command lines of processes that were started with it in their environment.

    A child that was just forked still is a copy of its parent, command line and all.
    """
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            command = path.with_name("cmdline").read_bytes()
            if secret in path.read_bytes() and command == path.with_name("cmdline").read_bytes():
                found.add(command)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_neither_stack_nor_swarm_nor_proxies_nor_reaper_are_started_with_the_key(room: Path) -> None:
    key = secrets.token_hex(16)
    environment = rehearsals.environment(room / "tmp") | {VARIABLE: key}
    command = rehearsals.command("rehearse", "smoke", "--users", "20", "--out", str(room / "runs"))
    seen: set[bytes] = set()
    most = 0
    with (room / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=rehearsals.ROOT, stdout=log, stderr=log)
        while process.poll() is None:
            seen |= who_has(key.encode())
            most = max(most, len(who_has(str(room / "tmp").encode())))
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    run = rehearsals.only_run(room / "runs")
    assert most > 10, "the processes of the run were not seen"
    assert seen == {b"".join(word.encode() + b"\0" for word in command)}
    assert rehearsals.document(run).sealed.startswith("hmac-sha256:")
    file = room / "key"
    file.touch(0o600)
    file.write_text(key)
    gate = subprocess.run(
        rehearsals.command("gate", str(run)),
        env={**os.environ, "PYTHONPATH": str(rehearsals.ROOT), FILE_VARIABLE: str(file)},
        check=False,
    )
    assert gate.returncode in (0, 1, 3)

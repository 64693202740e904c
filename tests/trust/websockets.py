"""The lean client against the cases of Autobahn's test suite, run by kosoku: how many it passes.

kosoku (PyPI, 0.1.0) plays the server of each case and judges what the client does: echo each message, answer pings,
close as RFC 6455 has it. It is no dependency of ours: install it into an environment of its own and put that on PATH.
Compression (12, 13) is left out: the client never asks for an extension, and a server must not use one unasked.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from harness.platform import Call, Person
from harness.processes.ports import free_ports
from harness.record.schema import Outcome
from harness.swarm.client.http import CallFailed, ClientLimits
from harness.swarm.client.websocket import FeedSocket
from harness.swarm.recording.recorder import Recorder
from tests.waiting import wait_until

AGENT = "gatecrash"
LEFT_OUT = ("12.*", "13.*")
LIMITS = ClientLimits(body_bytes=16 * 1024 * 1024, first_byte_s=20.0, idle_s=60.0)
PERSON = Person(user=1, kind="spectator", actor="spectator", identity="spectator")
_GOOD = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})


def measure(out: Path, _jobs: int, _times: int | None) -> dict[str, Any]:
    """Run all cases; `as_it_must_be` when none fails."""
    program = shutil.which("kosoku")
    if program is None:
        return {"sentence": "kosoku is not on PATH", "as_it_must_be": False}
    out.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    command = [program, "-m", "fuzzingserver", f"127.0.0.1:{port}", "-o", str(out)]
    command += [word for left_out in LEFT_OUT for word in ("-x", left_out)]
    with (out / "server.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            run_cases(f"ws://127.0.0.1:{port}")
            server.wait(60)
        finally:
            server.kill()
    return summed_up(out)


def run_cases(base: str) -> None:
    """Echo through each case, and ask for the report."""
    count = int(asked(base, "/getCaseCount") or 0)
    for number in range(1, count + 1):
        echo(base, f"/runCase?case={number}&agent={AGENT}")
    asked(base, f"/updateReports?agent={AGENT}")


def asked(base: str, target: str) -> bytes | None:
    """The first message of a socket, once its server is there."""
    feed = FeedSocket(Recorder(1), PERSON, LIMITS)
    wait_until(lambda: feed.connect(base + target, _now())[0] is Outcome.OK, what="the fuzzing server")
    try:
        return feed.receive()
    except CallFailed:
        return None
    finally:
        feed.close()


def echo(base: str, target: str) -> None:
    """Send back whatever comes, as it came, to the end."""
    feed = FeedSocket(Recorder(1), PERSON, LIMITS)
    feed.connect(base + target, _now())
    try:
        while (told := feed.receive_typed()) is not None:
            opcode, message = told
            feed.send(message, opcode)
    except CallFailed:
        return
    finally:
        feed.close()


def summed_up(out: Path) -> dict[str, Any]:
    """The figures of the report's index."""
    cases = json.loads((out / "index.json").read_text())[AGENT]
    behaviours = Counter(case["behavior"] for case in cases.values())
    closes = Counter(case["behaviorClose"] for case in cases.values())
    bad = sorted(name for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - _GOOD)
    return {
        "cases": len(cases),
        "behaviours": dict(behaviours),
        "closes": dict(closes),
        "bad": bad,
        "sentence": f"{len(cases) - len(bad)} of {len(cases)} WebSocket cases passed",
        "as_it_must_be": not bad,
    }


def _now() -> Call:
    return Call(t_intended_s=0.0)


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), 1, None), indent=2))

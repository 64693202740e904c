"""Other load generators in the same run: wrk, hey, k6, vegeta and artillery, where they are found on PATH.

Each drives the same URL with the same number of connections on the same one core, as fast as it can, for the same time.
None is required.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from tests.bench import rounds

CORE = 1
PATIENCE_S = 90.0
ARTILLERY_LOOPS = 60  # requests of each of its users: it knows no duration for a user

K6_SCRIPT = """
import http from "k6/http";
export const options = { vus: __ENV.USERS, duration: __ENV.SECONDS + "s", discardResponseBodies: true };
export default function () { http.get(__ENV.URL); }
export function handleSummary(data) {
  const failed = data.metrics.http_req_failed.values;
  return { stdout: JSON.stringify({ rate: data.metrics.http_reqs.values.rate, failed: failed.passes }) };
}
"""


def per_s(pattern: str, text: str) -> float:
    return float(re.search(pattern, text).group(1))


def wrk(url: str, users: int, seconds: float, _folder: Path) -> dict[str, float]:
    said = run("wrk", "-t1", f"-c{users}", f"-d{seconds:.0f}s", url)
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return {
        "requests_per_s": per_s(r"Requests/sec:\s+([\d.]+)", said),
        "failures": int(errors.group(1)) if errors else 0,
    }


def hey(url: str, users: int, seconds: float, _folder: Path) -> dict[str, float]:
    said = run("hey", "-z", f"{seconds:.0f}s", "-c", str(users), url)
    statuses = re.findall(r"\[(\d+)\]\s+(\d+) responses", said)
    failed = sum(int(count) for status, count in statuses if status != "200")
    return {"requests_per_s": per_s(r"Requests/sec:\s+([\d.]+)", said), "failures": failed}


def vegeta(url: str, users: int, seconds: float, folder: Path) -> dict[str, float]:
    results = folder / "vegeta.bin"
    options = ("-rate=0", f"-max-workers={users}", f"-workers={users}", f"-duration={seconds:.0f}s")
    run("vegeta", "attack", *options, f"-output={results}", given=f"GET {url}\n")
    report = json.loads(run("vegeta", "report", "-type=json", str(results)))
    return {"requests_per_s": report["throughput"], "failures": round(report["requests"] * (1 - report["success"]))}


def k6(url: str, users: int, seconds: float, folder: Path) -> dict[str, float]:
    script = folder / "script.js"
    script.write_text(K6_SCRIPT)
    given = ("-e", f"URL={url}", "-e", f"USERS={users}", "-e", f"SECONDS={seconds:.0f}")
    said = json.loads(run("k6", "run", "--quiet", "--no-usage-report", *given, str(script)))
    return {"requests_per_s": said["rate"], "failures": said["failed"]}


def artillery(url: str, users: int, _seconds: float, folder: Path) -> dict[str, float]:
    """Its requests over its own time from first to last: start-up not counted."""
    base, _, path = url.rpartition("/")
    script, results = folder / "artillery.json", folder / "artillery.out.json"
    loop = {"loop": [{"get": {"url": f"/{path}"}}], "count": ARTILLERY_LOOPS}
    phase = {"duration": 1, "arrivalCount": users}
    script.write_text(
        json.dumps(
            {"config": {"target": base, "phases": [phase], "http": {"pool": users}}, "scenarios": [{"flow": [loop]}]}
        )
    )
    run("artillery", "run", "--quiet", "--output", str(results), str(script))
    told = json.loads(results.read_text())["aggregate"]
    answered = told["counters"]["http.codes.200"]
    seconds = (told["lastMetricAt"] - told["firstMetricAt"]) / 1000
    return {"requests_per_s": answered / seconds, "failures": told["counters"]["http.requests"] - answered}


PEERS: dict[str, Callable[[str, int, float, Path], dict[str, float]]] = {
    "wrk": wrk,
    "hey": hey,
    "vegeta": vegeta,
    "k6": k6,
    "artillery": artillery,
}


def found() -> tuple[list[str], list[str]]:
    """Those on PATH, and the others."""
    here = [name for name in PEERS if shutil.which(name)]
    return here, [name for name in PEERS if name not in here]


def measure(name: str, url: str, users: int, seconds: float) -> dict[str, float]:
    """Requests per second, failures, and processor time per request (µs, start-up included)."""
    before_s, begun_s = cpu_s(), monotonic()
    with TemporaryDirectory() as folder:
        figures = PEERS[name](url, users, seconds, Path(folder))
    requests = figures["requests_per_s"] * min(seconds, monotonic() - begun_s)
    figures["cpu_us_per_request"] = round((cpu_s() - before_s) / max(requests, 1.0) * 1e6, 1)
    figures["requests_per_s"] = round(figures["requests_per_s"])
    return figures


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*command: str, given: str = "") -> str:
    with rounds.on_core(CORE):
        done = subprocess.run(
            command,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
    return done.stdout

"""The fault proxy beside a real Toxiproxy: one list of questions, requests at random, and latency on a busy machine."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from tests.chaos import servers
from tests.chaos.proxy.differential import CLOSED, compare, tell
from tests.chaos.proxy.loaded import measure as measure_latency
from tests.chaos.proxy.random_asks import asks
from tests.chaos.servers import ROOT, ProxyServer

SEEDS = (11, 12, 13, 14, 15)
ASKS = 10_000
SAMPLES = 100
BUSY_LOOPS = 2


def measure(out: Path, jobs: int, times: int | None) -> dict[str, object]:
    """`times`: so many requests for each seed."""
    binary = servers.real_toxiproxy()
    if binary is None:
        return {"as_it_must_be": False, "sentence": "there is no toxiproxy-server to compare with"}
    count = times or ASKS
    found: dict[str, object] = {"questions": _questions()}
    with contextlib.ExitStack() as stack:
        real = stack.enter_context(servers.real(binary))
        strict = stack.enter_context(servers.embedded("--strict"))
        ours = stack.enter_context(servers.embedded())
        otherwise = {seed: len(list(compare(real, strict, seed, count))) for seed in SEEDS}
        unanswered = {seed: _unanswered(ours, seed, count) for seed in SEEDS}
        proxies = {"gatecrash": strict, "Toxiproxy": real}
        latency = {
            "idle": measure_latency(proxies, SAMPLES, 0, is_steady=False),
            "busy": measure_latency(proxies, SAMPLES, BUSY_LOOPS, is_steady=False),
        }
        with contextlib.suppress(PermissionError):
            latency["busy, client and upstream steady"] = measure_latency(proxies, SAMPLES, BUSY_LOOPS, is_steady=True)
    questions = found["questions"]
    assert isinstance(questions, dict)
    found |= {"seeds": SEEDS, "requests_of_each": count, "answered_otherwise": otherwise, "unanswered": unanswered}
    total = count * len(SEEDS)
    wrong = sum(otherwise.values()) + sum(unanswered.values()) + sum(each["failed"] for each in questions.values())
    asked = {name: f"{each['passed']} of {each['passed'] + each['failed']}" for name, each in questions.items()}
    sentence = (
        f"questions answered as they must be: {asked}; requests at random that a real server answers alike: "
        f"{total - sum(otherwise.values()):,} of {total:,}; that ours answers at all: "
        f"{total - sum(unanswered.values()):,} of {total:,}"
    )
    return {"as_it_must_be": wrong == 0, "sentence": sentence, **found, "latency": latency}


def _questions() -> dict[str, dict[str, int]]:
    """The tests that are asked of both: how many each server passes."""
    kinds = {"Toxiproxy": "real_server or real-", "gatecrash, strict": "strict_server", "gatecrash": "embedded_server"}
    return {name: _passed(expression) for name, expression in kinds.items()}


def _passed(expression: str) -> dict[str, int]:
    command = [sys.executable, "-m", "pytest", "-n", "0", "tests/chaos/proxy", "-k", expression]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    count = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    return {"passed": count.get("passed", 0), "failed": count.get("failed", 0) + count.get("error", 0)}


def _unanswered(server: ProxyServer, seed: int, count: int) -> int:
    """How many requests the server did not answer."""
    return sum(tell(server, ask) == CLOSED for ask in asks(seed, count))

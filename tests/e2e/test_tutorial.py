"""The page on a platform of one's own, followed word for word from an empty folder.

A block of code whose first line is a comment with a file's name is that file; further blocks of that name go on with
it. Each line of a shell block is a command; "# exit N" says how it ends. Ports are changed for free ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import requests
import yaml

from harness.processes.ports import free_ports
from harness.record.verdict import UNAUDITED, Decision, Status
from harness.scenario import Scenario
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT

pytestmark = pytest.mark.e2e
PAGE = ROOT / "docs" / "own-platform.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
FILE = re.compile(r"# ([\w.-]+\.(?:py|yaml|csv))\n")
EXIT = re.compile(r"\s+# exit (\d)$")
ADAPTER_LINES_MAX = 120


class Block(NamedTuple):
    language: str
    text: str


def blocks() -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


class Reader:
    """Somebody who follows the page: a folder, an environment, and what the commands said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, str] = {}
        self._ports = dict(zip(("18100", "8100"), map(str, free_ports(2)), strict=True))
        (folder / "bin").mkdir()
        command = folder / "bin" / "gatecrash"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m harness "$@"\n')
        command.chmod(0o755)
        self.environment = {
            **rehearsals.environment(folder / "tmp"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "SHOP_PORT": self._ports["8100"],
            "PYTHON": sys.executable,
        }

    def follow(self, block: Block) -> None:
        text = re.sub(r"\b(18100|8100)\b", lambda port: self._ports[port[0]], block.text)
        named = FILE.match(text)
        if named and block.language in ("python", "yaml", "csv"):
            self._write(named[1], text[named.end() :])
        elif block.language == "sh":
            for line in text.splitlines():
                self._run(line)
        elif block.language == "html":
            self._see(text)
        else:
            assert msgspec.convert(yaml.safe_load(text), Scenario).platform is not None, text

    def _write(self, name: str, text: str) -> None:
        file = self.folder / name
        before = file.read_text() if file.exists() else ""
        gap = "\n" * (1 if text.startswith(" ") else 2) if before else ""
        file.write_text(f"{before}{gap}{text}")

    def _run(self, line: str) -> None:
        words = line.split()
        if words[0] == "cd":
            self.folder = self.folder / words[1]
        elif words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = value
        else:
            ends = EXIT.search(line)
            self._command(EXIT.sub("", line), int(ends[1]) if ends else 0)

    def _command(self, line: str, code: int) -> None:
        done = subprocess.run(
            ["/bin/bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        self.said[line] = done.stdout

    def _see(self, html: str) -> None:
        page = requests.get(f"http://127.0.0.1:{self._ports['8100']}/onsale", timeout=10).text
        for attribute in re.findall(r'(?:id|name|class)="[^"]*"', html):
            assert attribute in page


@pytest.fixture(scope="module")
def reader(room: Path) -> Iterator[Reader]:
    somebody = Reader(room)
    try:
        for block in blocks():
            somebody.follow(block)
        yield somebody
    finally:
        if (somebody.folder / "prepare.sh").exists():
            subprocess.run(["./prepare.sh", "stop"], cwd=somebody.folder, env=somebody.environment, check=True)


def run_of(reader: Reader, name: str) -> Path:
    return rehearsals.only_run(reader.folder / "runs" / name)


def test_every_block_is_of_a_language_that_is_followed() -> None:
    assert {block.language for block in blocks()} == {"sh", "python", "yaml", "csv", "html"}


def test_the_adapter_that_grows_on_the_page_is_short(reader: Reader) -> None:
    assert len((reader.folder / "myshop.py").read_text().splitlines()) <= ADAPTER_LINES_MAX


def test_the_honest_shop_is_ready(reader: Reader) -> None:
    assert rehearsals.verdict(run_of(reader, "first")).verdict is Decision.READY


def test_selling_more_than_the_rules_say_is_found(reader: Reader) -> None:
    judged = rehearsals.verdict(run_of(reader, "oversold"))
    assert [one.name for one in judged.invariants if one.status is Status.VIOLATED] == ["no_oversell"]


def test_the_faults_were_proven_and_healed(reader: Reader) -> None:
    faults = rehearsals.verdict(run_of(reader, "finals")).faults
    assert [(fault.experiment, fault.proven) for fault in faults] == [("cut-front", True), ("stop-web", True)]


def test_a_locustfile_alone_gets_no_verdict_and_says_why(reader: Reader) -> None:
    assert rehearsals.verdict(run_of(reader, "script")).reason == UNAUDITED
    assert rehearsals.verdict(run_of(reader, "seen")).grade == "B"


def test_a_journey_of_ones_own_is_audited(reader: Reader) -> None:
    judged = rehearsals.verdict(run_of(reader, "hurried"))
    assert {one.name: one.status for one in judged.invariants}["bought_as_told"] is Status.HELD

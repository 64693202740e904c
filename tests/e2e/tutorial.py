"""A tutorial page, read as a newcomer reads it: its files are written, its commands are run.

A block of code whose first line is a comment with a file's name is that file; further blocks of that name go on with
it. Each line of a shell block is a command; "# exit N" says how it ends. Ports are changed for free ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec
import requests
import yaml

from harness.processes.ports import free_ports
from harness.scenario import Scenario
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT

OWN_PLATFORM = ROOT / "docs" / "own-platform.md"
FIRST_REHEARSAL = ROOT / "docs" / "first-rehearsal.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
FILE = re.compile(r"# ([\w.-]+\.(?:py|yaml|csv))\n")
EXIT = re.compile(r"\s+# exit (\d)$")


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


class Reader:
    """Somebody who follows the page: a folder, an environment, and what the commands said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, str] = {}
        self.took_s: dict[str, float] = {}
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
        begin_s = monotonic()
        done = subprocess.run(
            ["/bin/bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        self.said[line] = done.stdout
        self.took_s[line] = monotonic() - begin_s

    def leave(self) -> None:
        """Stop the shop that the page's preparation has started."""
        if (self.folder / "prepare.sh").exists():
            subprocess.run(["./prepare.sh", "stop"], cwd=self.folder, env=self.environment, check=True)

    def _see(self, html: str) -> None:
        page = requests.get(f"http://127.0.0.1:{self._ports['8100']}/onsale", timeout=10).text
        for attribute in re.findall(r'(?:id|name|class)="[^"]*"', html):
            assert attribute in page

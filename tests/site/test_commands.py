"""Every gatecrash command that a document shows is executed: here, or by the test that is named beside it.

What is quick runs here as it is shown, in a folder with two recorded runs and the files that documents speak of. A new
command in a document fails this test until it is among these or a test of it is named.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from tests.builders import RunBuilder
from tests.harness.scaffold.recording.test_har import purchase, saved
from tests.site.test_site import DOCUMENTS, ROOT, typed

READ: Final = [one for one in DOCUMENTS if one.name != "CHANGELOG.md" and "reference" not in one.parts]
_INLINE: Final = re.compile(r"`gatecrash ([a-z][^`]*)`")
_BLOCKS: Final = re.compile(r"^```.*?^```", re.M | re.S)

QUICK: Final = {
    "chaos export redis-down": "",
    "chaos export redis-down --out redis-down.json": "",
    "chaos heal --all": "",
    "chaos import FILE": "chaos import redis-down.json",
    "chaos status": "",
    "compare BASE RUN": "",
    "compare BASE RUN --fail-on regression": "",
    "doctor": "",
    "experiment check NAME": "experiment check redis-down",
    "experiment check db-unreachable": "",
    "experiment check my-outage.yaml": "",
    "experiment list": "",
    "experiment show NAME": "experiment show redis-down",
    "experiment show redis-down": "",
    "experiment show latency --edge payments --ms 8000": "",
    "fan RUN 158": "fan RUN 1",
    "fan RUN NAME": "fan RUN fan-0001",
    "findings RUN": "",
    "findings RUN --owner ID=NAME": "findings RUN",
    "gate RUN": "",
    "gate RUN --min-grade B": "",
    "init DIR --seats": "init here --seats",
    "init onsale --queue": "",
    "init ourshop --from-har purchase.har": "",
    "plan --users 200000 --window 30": "",
    "report RUN": "",
    "retro RUN": "",
    "retro runs/… --out retro.md": "retro RUN --out retro.md",
    "runs html": "",
    "scenario check onsale.yaml": "",
    "scenario check playoff-presale": "",
    "scenario list": "",
    "scenario show smoke --set load.fans=500": "",
    "target bugs": "",
}
"""Executed here, in this order; with what stands for a placeholder."""

PROCESSES: Final = ("doctor", "plan")
"""Take ports or limits for the time of their process."""

LONG: Final = {
    "adapter check shop.py:Shop --scenario onsale.yaml": "tests/e2e/test_tutorial.py",
    "capacity --rates 10,20,40,80,160": "tests/e2e/test_capacity.py",
    "drill NAME": "tests/e2e/test_runbook_drill.py",
    "drill redis-down --rehearse-runbook --within 300": "tests/e2e/test_runbook_drill.py",
    "gate 'runs/mended/*'": "tests/e2e/test_smoke.py",
    "init onsale --from-har purchase.har --stack http://127.0.0.1:8000": "tests/harness/scaffold/test_recorded.py",
    "init ourshop": "tests/e2e/test_tutorial.py",
    "rehearse --remote-workers 2": "tests/e2e/test_secrets.py",
    "rehearse --stack compose": ".ci/run",
    "rehearse SCENARIO --paired": "tests/e2e/test_paired.py",
    "rehearse bot-raid": "tests/e2e/test_bot_raid.py",
    "rehearse little-shop": "tests/e2e/test_little_shop.py",
    "rehearse onsale.yaml": "tests/e2e/test_init.py",
    "rehearse onsale.yaml --listen 10.0.0.5 --remote-workers 4": "tests/e2e/test_secrets.py",
    "rehearse onsale.yaml --no-chaos": "tests/e2e/test_tutorial.py",
    "rehearse ours.yaml --locustfile locustfile.py": "tests/e2e/test_locustfile.py",
    "rehearse smoke": ".ci/run",
    "rehearse smoke --min-grade B": ".ci/run",
    "rehearse smoke --paired": "tests/e2e/test_paired.py",
    "rehearse smoke --plant-bug double_sell": "tests/e2e/test_smoke.py",
    "rehearse smoke --seed 7 --min-grade B": "tests/e2e/test_smoke.py",
    "rehearse smoke --seed 7 --min-grade B --out runs": "tests/e2e/test_smoke.py",
    "rehearse smoke --seed 7 --no-chaos --users 60 --out runs/mended": "tests/e2e/test_smoke.py",
    "rehearse smoke --seed 7 --no-chaos --users 60 --plant-bug lost_ack --out runs/broken": "tests/e2e/test_smoke.py",
    "rehearse smoke --seed 7 --out runs/first": "tests/e2e/test_smoke.py",
    "rehearse smoke --stack compose": ".ci/run",
    "scenario check finals.yaml": "tests/e2e/test_tutorial.py",
    "selftest --sample 3 --clean 1": "tests/e2e/test_selftest.py",
    "target down": "tests/harness/stack/compose/test_leftovers.py",
    "target up --json": "tests/e2e/test_chaos_toolkit.py",
    "target up --port 8000": "tests/e2e/test_chaos_toolkit.py",
    "worker --master 10.0.0.5:5557 --key '5a83…' --load /home/ana/my_shop.py --secret MYSHOP_TOKEN": (
        "tests/e2e/test_shop_kinds.py"
    ),
    "worker --master 10.0.0.5:5557 --key '5a83…' --load /home/ana/shop.py --workers 4": "tests/e2e/test_shop_kinds.py",
    "worker --master HOST --key …": "tests/harness/swarm/joining/test_many_hosts.py",
}
"""Takes a whole stack, and has it in this test, with other figures."""

NOT_EXECUTED: Final = {
    "plan --users N --window 30 --scenario two-hundred-thousand": "with N a part of tests.bench.size",
    "capacity --rates 10,20,40,80 --tickets 18000 --fans 200000": "takes half an hour; shorter in test_capacity",
    "capacity my-shop.yaml --platform my_shop.py:MyShop --stack http://127.0.0.1:8000": "the reader's own shop",
    "rehearse --web": "a page for people; the pages themselves: test_worker_machine",
    "rehearse SCENARIO --random-faults N": "which faults it draws: tests/chaos/injection",
    "rehearse onsale.yaml --stack https://staging.shop.example --allow-host staging.shop.example": "somebody's host",
    "rehearse presale-codes": "its scenario and its bots: tests/harness/scenario/test_codes.py",
}
"""Only its options are checked; why."""


def shown() -> set[str]:
    """Every command with a word beside its name: what is typed in blocks, and what prose shows."""
    found = {shlex.join(words) for document in READ for words in typed(document)}
    for document in READ:
        prose = _BLOCKS.sub("", document.read_text(encoding="utf-8"))
        found |= {" ".join(command.split()) for command in _INLINE.findall(prose)}
    return {command for command in found if not is_name(command)}


def is_name(command: str) -> bool:
    """Whether it only names a command, as prose does."""
    return re.fullmatch(r"(?!doctor)[a-z]+( check| heal)?", command) is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader stands: two runs, a scenario and an experiment of their own."""
    here = tmp_path_factory.mktemp("reader")
    for name in ("base", "mended"):
        run = RunBuilder(fans=20, faulty=False).write(here / "runs" / name).root
        assert CliRunner().invoke(app, ["report", str(run)]).exit_code == 0
    shutil.copyfile(ROOT / "scenarios" / "smoke.yaml", here / "onsale.yaml")
    outage = re.search(r"^```yaml\n(name: my-outage\n.*?)^```", (ROOT / "docs/chaos.md").read_text(), re.M | re.S)
    assert outage is not None
    (here / "my-outage.yaml").write_text(outage[1])
    saved(here / "purchase.har", purchase())
    return here


def test_every_command_that_is_shown_is_executed_or_says_by_what() -> None:
    known = QUICK.keys() | LONG.keys() | NOT_EXECUTED.keys()
    assert shown() - known == set()
    assert known - shown() == set()


@pytest.mark.parametrize("test", sorted(set(LONG.values())))
def test_what_executes_a_command_exists(test: str) -> None:
    assert (ROOT / test).is_file()


@pytest.mark.parametrize("command", QUICK)
def test_a_quick_command_runs(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    places = {"RUN": "runs/mended", "BASE": "runs/base"}
    words = [places.get(word, word) for word in shlex.split(QUICK[command] or command)]
    if words[0] in PROCESSES:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "harness", *words], env=environment, check=True, capture_output=True)
    else:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (words, done.output, done.exception)


def test_the_modules_and_the_targets_of_make_that_are_shown_exist() -> None:
    text = "".join(document.read_text(encoding="utf-8") for document in READ)
    modules = set(re.findall(r"python -m ((?:tests|target|harness)[\w.]*\w)", text))
    targets = set(re.findall(r"(?:`|^|run: )make ([a-z-]+)", text, re.M))
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert len(modules) > 10
    assert [module for module in modules if find_spec(module) is None] == []
    assert targets - made == set()

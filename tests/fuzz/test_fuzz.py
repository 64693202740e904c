"""Ten thousand bad inputs, the same ones each time. More of them: `python -m tests.fuzz --inputs N --seed S`."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import InputError, NoVerdict
from tests.fuzz import mutations
from tests.fuzz.subjects import Journals, ScenarioFiles, complaints

ROOT = Path(__file__).resolve().parents[2]
SEED = 14
INPUTS = 10_000
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
def test_every_bad_input_is_taken_or_refused_in_one_line(part: int) -> None:
    share = INPUTS // PARTS
    command = [sys.executable, "-m", "tests.fuzz", "--seed", str(SEED), "--first", str(part * share)]
    done = subprocess.run(
        [*command, "--inputs", str(share)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=1500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{share} inputs with seed {SEED}" in done.stdout.splitlines()[-1]


def test_a_refusal_is_looked_at(tmp_path: Path) -> None:
    assert list(complaints(InputError("no", file="x.yaml"), ScenarioFiles(), tmp_path)) == []
    assert list(complaints(InputError("no"), ScenarioFiles(), tmp_path)) == ["no file is named"]
    assert list(complaints(NoVerdict("no"), Journals(), tmp_path)) == ["exit code 3"]
    assert list(complaints(InputError(""), Journals(), tmp_path)) == ["silence"]


def test_an_input_is_made_again_from_its_number() -> None:
    document = b"a: 1\nb: {c: [1, 2, three]}\n".decode()
    twice = [[mutations.of_yaml(document, random.Random(f"14-{n}")) for n in range(200)] for _ in range(2)]
    assert twice[0] == twice[1]
    assert len(set(twice[0])) > 100

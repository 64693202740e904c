"""What gatecrash is made of: packages pinned by hash, with a licence, in a parts list that its standard accepts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply import __main__ as supply
from tests.supply.licences import is_accepted
from tests.supply.lock import DEV_LOCK, LOCK, LockError, Pin, pins, problems
from tests.supply.sbom import SbomError, require_valid, sbom

ROOT = Path(__file__).parents[1]
HASH = "a" * 64
WHOLE = f"attrs==25.1.0 \\\n    --hash=sha256:{HASH}\n    # via aiohttp\n"


def test_the_locks_the_project_and_what_is_installed_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert supply.main(["check"]) == 0, capsys.readouterr().out


def test_a_lock_is_read_as_it_is_meant() -> None:
    several = (
        f"numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\n"
        "    # via\n    #   gatecrash (pyproject.toml)\n    #   pandas\n"
    )
    assert pins(WHOLE + several) == [
        Pin("attrs", "25.1.0", "", (HASH,), ("aiohttp",)),
        Pin("numpy", "2.4.6", "python_full_version < '3.12'", (HASH, "b" * 64), ("gatecrash", "pandas")),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "attrs>=25\n",
        "attrs==25.1.0\n",
        "attrs==25.1.0 \\\n    --hash=md5:abc\n",
        f"attrs==25.1.0 \\\n    --hash=sha256:{HASH[1:]}\n",
        f"attrs @ https://example.test/attrs.whl \\\n    --hash=sha256:{HASH}\n",
        "--index-url https://example.test/simple\n" + WHOLE,
        "-e .\n",
    ],
)
def test_what_is_not_pinned_by_version_and_hash_is_found(bad: str) -> None:
    with pytest.raises(LockError):
        pins(bad)


def test_locks_that_disagree_are_found() -> None:
    old, new = pins(WHOLE), pins(WHOLE.replace("25.1.0", "0.0.1"))
    assert "attrs 25.1.0 is not in the lock of the development tools" in list(problems(old, new, []))
    assert list(problems([], [], ["attrs>=25"])) == ["the project wants attrs>=25, and the lock has none"]
    assert "the project wants attrs>=25, and the lock has 0.0.1" in list(problems(new, new, ["attrs>=25"]))
    assert any(text.startswith("attrs is locked at 0.0.1, and installed is") for text in problems(new, new, []))


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("MIT", True),
        ("MIT AND Apache-2.0", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND (GPL-3.0-only OR BSD-3-Clause)", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-or-later AND (MIT OR BSD-3-Clause)", False),
        ("", False),
        ("Proprietary", False),
        ("MIT AND (", False),
    ],
)
def test_a_licence_is_accepted_as_a_whole(expression: str, accepted: bool) -> None:
    assert is_accepted(expression) is accepted


def test_the_parts_list_has_every_part_and_is_the_same_each_time() -> None:
    lock = pins(LOCK.read_text())
    written = sbom(lock)
    assert written == sbom(pins(LOCK.read_text()))
    bom = json.loads(written)
    parts = {(part["name"], part["version"]): part for part in bom["components"]}
    assert parts.keys() == {(pin.name, pin.version) for pin in lock}
    for pin in lock:
        part = parts[pin.name, pin.version]
        (source,) = part["externalReferences"]
        assert {one["content"] for one in source["hashes"]} == set(pin.hashes)
        assert part.get("licenses") or not pin.is_for_here
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in bom["dependencies"]}
    assert {ref.partition("==")[0] for ref in needs["gatecrash"]} >= {"locust", "msgspec", "pyarrow"}
    assert {ref for used in needs.values() for ref in used} == {part["bom-ref"] for part in bom["components"]}
    assert "timestamp" not in bom["metadata"]
    assert sbom(lock[:-1]) != written


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("components", [{"type": "gadget", "name": "x"}]), ("bomFormat", "SPDX"), ("surprise", 1), ("version", "one")],
)
def test_a_parts_list_that_breaks_the_schema_is_refused(part: str, wrong: object) -> None:
    bom = json.loads(sbom(pins(WHOLE.replace("aiohttp", "gatecrash (pyproject.toml)"))))
    require_valid(json.dumps(bom))
    with pytest.raises(SbomError, match="breaks the schema"):
        require_valid(json.dumps(bom | {part: wrong}))


def test_no_lock_names_an_index() -> None:
    for lock in (LOCK, DEV_LOCK):
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links|git\+", lock.read_text())


def examples() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [path for path in map(ROOT.joinpath, listed) if re.search(r"\.(ya?ml|md|j2)$", path.name) and path.is_file()]


def test_the_actions_of_ci_examples_are_pinned_by_commit() -> None:
    """But for an action that comes with the checkout."""
    used = [line for path in examples() for line in re.findall(r"^\s*(?:- )?uses: (?!\./).*$", path.read_text(), re.M)]
    assert len(used) >= 3
    assert [line for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line)] == []


def test_the_audit_for_known_vulnerabilities_reads_the_lock() -> None:
    """All of it but the asking, which needs a network."""
    (line,) = re.findall(r"^audit:.*\n\t\$\(BIN\)/pip-audit (.*)$", (ROOT / "Makefile").read_text(), re.M)
    command = [sys.executable, "-m", "pip_audit", *line.split(), "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    here = {pin.name for pin in pins(LOCK.read_text()) if pin.is_for_here}
    assert f"would have audited {len(here)} packages" in done.stderr, done.stderr

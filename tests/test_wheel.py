"""The wheel adds only `gatecrash` to site-packages, and what it adds is enough to run."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness import __version__
from harness.commit import commit_of
from harness.processes.ports import free_ports

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def test_it_adds_only_gatecrash_to_site_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"gatecrash"}


@pytest.mark.parametrize(
    "name",
    [
        "scenarios/playoff-presale.yaml", "chaos/experiments/redis-down.yaml", "reports/templates/report.html.j2",
        "target/__main__.py", "harness/cli/entry.py", "docs/runbooks.md",
    ],
)  # fmt: skip
def test_it_carries_what_the_rooms_need(wheel: Path, name: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert f"gatecrash/_tree/{name}" in archive.namelist()


def test_every_file_of_the_rooms_is_in_it(wheel: Path) -> None:
    rooms = ("harness", "scenarios", "chaos", "reports", "target")
    listed = subprocess.run(["git", "ls-files", *rooms], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    missing = {name for name in listed.split() if f"gatecrash/_tree/{name}" not in carried}
    moved = {
        "harness/launcher.py": "gatecrash/__init__.py",
        "chaos/toolkit/installed.py": "gatecrash/chaostoolkit.py",
        "harness/adapter/kit.py": "gatecrash/adapter.py",
        "scenarios/journeys.py": "gatecrash/journeys.py",
        "harness/plugins/kit.py": "gatecrash/plugins.py",
    }
    assert missing == moved.keys()
    assert set(moved.values()) <= carried


def test_it_says_which_commit_it_was_built_from(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    told = subprocess.run(
        [sys.executable, "-c", "import gatecrash, sys; sys.argv[1:] = ['--version']; gatecrash.main()"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert told.stdout.split() == ["gatecrash", __version__, commit_of(ROOT)]


def test_chaos_toolkit_finds_our_functions_in_it(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    command = "sys.argv[1:] = ['chaos', 'export', 'redis-down', '--out', 'it.json']; gatecrash.main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    exported = subprocess.run(
        [sys.executable, "-c", f"import gatecrash, sys; {command}"], cwd=tmp_path, env=environment, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert exported.returncode == 0, exported.stderr
    checked = subprocess.run(
        [sys.executable, "-m", "chaostoolkit", "validate", "it.json"], cwd=tmp_path, env=environment, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert '"module": "gatecrash.chaostoolkit"' in (tmp_path / "it.json").read_text()


def test_init_starts_the_little_shop_out_of_it(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {
        **os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHON": sys.executable,
        "SHOP_PORT": str(free_ports(1)[0]),
    }  # fmt: skip

    def ran(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"import gatecrash, subprocess, sys; {code}"], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    ran("sys.argv[1:] = ['init', 'onsale', '--queue']; gatecrash.main()")
    try:
        assert ran("subprocess.run(['onsale/prepare.sh'], check=True)").startswith("url=http://127.0.0.1:")
    finally:
        ran("subprocess.run(['onsale/prepare.sh', 'stop'], check=True)")


def test_it_runs_from_anywhere_and_from_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import gatecrash, harness.cli, sys; print(harness.cli.__file__, file=sys.stderr);"
        "sys.argv[1:] = ['scenario', 'check', 'smoke']; gatecrash.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("smoke: ok")
    assert str(tmp_path / "site" / "gatecrash" / "_tree") in done.stderr

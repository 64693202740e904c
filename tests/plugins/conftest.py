"""The example plugin, installed for real; and packages that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugins.site import Site, install_example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A folder in which pip installed the example."""
    return install_example(tmp_path_factory.mktemp("site"))


@pytest.fixture
def wrong(tmp_path: Path) -> Callable[..., Site]:
    """Makes an installed package of the given source, with an entry point that leads to it."""

    def make(source: str, name: str = "wrong", package: str = "gatecrash-wrong", points_to: str = "PLUGIN") -> Site:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        information = tmp_path / f"{module}-0.1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
        (information / "entry_points.txt").write_text(f"[gatecrash.plugins]\n{name} = {module}:{points_to}\n")
        return Site((tmp_path,))

    return make

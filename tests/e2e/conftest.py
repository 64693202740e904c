from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A directory outside pytest's private one, so that PostgreSQL's own user can reach below it."""
    with TemporaryDirectory(prefix="gatecrash-e2e-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.record.reader import Record
from harness.record.schema import SCHEMA_VERSION, FaultsDocument
from tests.builders import RunBuilder


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A run with four faults, everything recorded."""
    return _written(RunBuilder(), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A run in which nothing was broken."""
    return _written(RunBuilder(faulty=False), tmp_path_factory.mktemp("quiet"))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A finished run whose every table is empty and which broke nothing."""
    builder = RunBuilder(faulty=False).changed(load=None, phases=(), processes=(), clock_offsets_ms={}, t0=None)
    builder.tables = {name: [] for name in builder.tables}
    builder.faults = FaultsDocument(schema=SCHEMA_VERSION, faults=())
    return _written(builder, tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="session")
def cut_short(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """What is left when the run was killed: run.json of an earlier phase and part of the tables."""
    root = tmp_path_factory.mktemp("cut")
    paths = RunBuilder().changed(complete=False, load=None).write(root)
    for name in ("operations", "events", "metrics"):
        paths.table(name).unlink()
    return Record.open(root)


def _written(builder: RunBuilder, root: Path) -> Record:
    return Record.open(builder.write(root).root)


def with_request_error(record: Record, root: Path, error: str) -> Record:
    """The same run, its scenario and stack renamed to hostile text."""
    builder = RunBuilder().changed(
        scenario_name=error, stack=error, run_id=error, command=(error,), versions={error: error}
    )
    faults = tuple(msgspec.structs.replace(fault, experiment=error, component=error) for fault in record.faults.faults)
    builder.faults = FaultsDocument(schema=SCHEMA_VERSION, faults=faults)
    return _written(builder, root)

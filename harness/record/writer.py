"""Writes the run directory: tables survive a crash, documents are whole or absent.

A table grows as an Arrow IPC stream. Each append goes straight to the file, so that rows appended before a crash can be
read. `TableWriter.finish` turns it into Parquet and only then removes the stream. This module never reads a run to
judge it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import EnvironmentProblem
from harness.record.paths import PRIVATE, RunPaths
from harness.record.schema import TABLES, Struct
from harness.record.seal import RUN_ID

Row = Mapping[str, object]

_ROW_GROUP_ROWS: Final = 131_072
_RUN_ID_TRIES: Final = 100
_HINT: Final = "free space or choose a writable place with --out"


class StreamWriter:
    """Appends record batches of one schema to an Arrow IPC stream file. Not thread-safe.

    Raises `EnvironmentProblem` when the disk is full or read-only: `rows_written` are on disk, `rows_lost` are not.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.rows_written = 0
        self.rows_lost = 0
        self._cause: OSError | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(path), "wb")
            self._stream = pa.ipc.new_stream(self._sink, schema)
        except OSError as error:
            raise EnvironmentProblem(f"{path} cannot be written: {_why(error)}", hint=_HINT) from error

    def append(self, rows: pa.RecordBatch | Sequence[Row]) -> None:
        """Write one batch, or rows given as mappings from column to value; a column that may be null may be left out.

        Raises `ValueError` for a column that the schema does not have or a null where none is allowed.
        """
        batch = rows if isinstance(rows, pa.RecordBatch) else _batch(rows, self.schema)
        _check(batch, self.schema)
        if batch.num_rows == 0:
            return
        if self._cause is None:
            try:
                self._stream.write_batch(batch)
            except OSError as error:
                self._cause = error
            else:
                self.rows_written += batch.num_rows
                return
        self.rows_lost += batch.num_rows
        raise self._broken()

    def close(self) -> None:
        """End the stream. Closing twice does nothing."""
        if self._sink.closed:
            return
        try:
            if self._cause is None:
                self._stream.close()
            self._sink.close()
        except OSError as error:
            self._cause = self._cause or error
        if self._cause is not None:
            raise self._broken() from self._cause

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _broken(self) -> EnvironmentProblem:
        reason = _why(self._cause) if self._cause else "closed"
        lost = f"{self.rows_lost} rows are lost, {self.rows_written} before them are kept"
        return EnvironmentProblem(f"{self.path} cannot be written: {reason}; {lost}", hint=_HINT)


class TableWriter(StreamWriter):
    """One table of the record while the run writes it; see `TABLES` for names and columns.

    The finished table carries the id of its run, which is the name of its directory unless told otherwise.
    """

    def __init__(self, paths: RunPaths, name: str, run_id: str = "") -> None:
        super().__init__(paths.live_table(name), TABLES[name])
        self._finished = paths.table(name)
        self._metadata = {RUN_ID: run_id or paths.run_id}

    def finish(self) -> Path:
        """Close the stream, rewrite it as Parquet (zstd) and remove the stream. Returns the Parquet file.

        The Parquet file appears whole or not at all. A failure leaves the stream, which the reader then uses.
        """
        self.close()
        partial = self._finished.with_suffix(".partial")
        try:
            with pa.memory_map(str(self.path)) as source:
                table = pa.ipc.open_stream(source).read_all().replace_schema_metadata(self._metadata)
                pq.write_table(
                    table, partial, compression="zstd", row_group_size=_ROW_GROUP_ROWS, write_page_checksum=True
                )
            _replace_durably(partial, self._finished)
            self.path.unlink()
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            kept = f"its {self.rows_written} rows are kept in {self.path.name}"
            raise EnvironmentProblem(
                f"{self._finished} cannot be written: {_why(error)}; {kept}", hint=_HINT
            ) from error
        return self._finished


def write_document(path: Path, document: Struct) -> None:
    """Write a document as indented JSON, atomically: a reader sees the old one or the new one, never a part."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        _replace_durably(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise EnvironmentProblem(f"{path} cannot be written: {_why(error)}", hint=_HINT) from error


def create_run(root_out: Path, scenario_name: str, now: datetime) -> RunPaths:
    """Make a new run directory under `root_out`, e.g. 20261123-101500-playoff-presale-1a2b; its name is the run id.

    Nobody else on this machine may read it: a record holds the names, seats and orders of a platform.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", scenario_name.lower()).strip("-") or "run"
    for _ in range(_RUN_ID_TRIES):
        root = root_out / f"{now:%Y%m%d-%H%M%S}-{slug}-{secrets.token_hex(2)}"
        try:
            root.mkdir(mode=PRIVATE, parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise EnvironmentProblem(f"{root} cannot be made: {_why(error)}", hint=_HINT) from error
        return RunPaths(root=root)
    raise EnvironmentProblem(f"{root_out} has no free run id", hint="choose another place with --out")


def _batch(rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise ValueError(f"no such column: {', '.join(sorted(unknown))}")
    return pa.RecordBatch.from_pylist(list(rows), schema=schema)


def _check(batch: pa.RecordBatch, schema: pa.Schema) -> None:
    if not batch.schema.equals(schema):
        raise ValueError(f"batch has the columns {batch.schema.names}, the table {schema.names}, or their types differ")
    nulls = [field.name for field, n in zip(schema, _null_counts(batch), strict=True) if n and not field.nullable]
    if nulls:
        raise ValueError(f"null where none is allowed: {', '.join(nulls)}")


def _null_counts(batch: pa.RecordBatch) -> Iterable[int]:
    return (column.null_count for column in batch.columns)


def _replace_durably(partial: Path, final: Path) -> None:
    """Rename after the bytes are on disk, then make the rename itself durable."""
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error).splitlines()[0]

"""Opens a run directory for judging. Refuses in one line what cannot be trusted, or marks it as incomplete.

A run that ended is sealed: the reader checks the tables against their seals when the record is opened, and reads each
table when it is asked for. A table without its Parquet file is read from the stream that the run left behind, up to the
last whole batch. Such a record is incomplete, and so is a record without seals: `Record.run.complete` is false and
`Record.run.anomalies` says what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.errors import InputError
from harness.input_file import NOT_JSON, is_folder
from harness.record.histogram import expand
from harness.record.paths import RunPaths, require_file
from harness.record.schema import SCHEMA_VERSION, TABLES, Anomaly, FaultsDocument, RunDocument
from harness.record.seal import MEND, require_faults_seal, require_own_seal, require_table_seal, sha256

CORE_TABLES: Final = ("requests", "operations", "events", "generator")
"""Tables that every complete run has. The others depend on what the platform shows; `Record.has` tells."""

_BATCH_ROWS: Final = 65_536
_VERSION: Final = re.compile(r"gatecrash\.(record/([0-9]{1,9}))")
_UNREADABLE: Final = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, NotImplementedError)
_Document = TypeVar("_Document", RunDocument, FaultsDocument)
_Read = TypeVar("_Read")


class _Stamp(msgspec.Struct, frozen=True):
    """The field that every document of every version has."""

    schema: str


@dataclass(frozen=True, slots=True)
class Record:
    """A run directory. Every table has exactly the columns of its schema; a table that was not written is empty.

    `_tables`: the tables in memory; those of a sealed run are read when first asked for.
    """

    paths: RunPaths
    run: RunDocument
    faults: FaultsDocument
    _tables: dict[str, pa.Table]
    _absent: frozenset[str]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the run directory at `path`. Raises `InputError` when a part is missing, corrupt, changed or not of
        gatecrash.
        """
        if not is_folder(path):
            raise InputError(
                "no run directory here", file=str(path), hint="give a directory made by gatecrash rehearse"
            )
        paths = RunPaths(root=path)
        _require_files(paths)
        run, written = _document(paths.run, RunDocument)
        require_own_seal(paths.run, run, written)
        marks: list[Anomaly] = []
        if not run.complete:
            marks.append(_mark("run.json", "the run was never finished: its record is incomplete"))
        elif not run.sealed:
            marks.append(_mark("run.json", "the record was never sealed: nothing shows that its tables are whole"))
        faults = _faults(paths, run, marks)
        tables: dict[str, pa.Table] = {}
        absent: set[str] = set()
        for name in TABLES:
            if run.sealed and _is_sealed(paths, name, run):
                continue
            table = _table(paths, name, run.complete, marks)
            if table is None:
                absent.add(name)
            tables[name] = TABLES[name].empty_table() if table is None else table
        if not run.sealed:
            tables["requests"] = _with_counted(tables["requests"], tables["histograms"])
        run = msgspec.structs.replace(run, complete=not marks, anomalies=(*run.anomalies, *marks))
        return cls(paths, run, faults, tables, frozenset(absent))

    @classmethod
    def documents(cls, paths: RunPaths) -> Self:
        """A run without its tables, for a report that only says why the run was not judged; raises nothing.

        A document that cannot be read counts as empty.
        """
        run = RunDocument(
            schema=SCHEMA_VERSION,
            run_id=paths.run_id,
            scenario_name="",
            scenario={},
            seed=0,
            t0=None,
            command=(),
            versions={},
            capabilities=(),
        )
        faults = FaultsDocument(schema=SCHEMA_VERSION, faults=())
        with suppress(InputError):
            _require_files(paths)
            run, _ = _document(paths.run, RunDocument)
            faults, _ = _document(paths.faults, FaultsDocument)
        empty = {name: schema.empty_table() for name, schema in TABLES.items()}
        return cls(paths, msgspec.structs.replace(run, complete=False), faults, empty, frozenset(TABLES))

    def table(self, name: str) -> pa.Table:
        """One of `TABLES`, whole. In `requests`, requests that were counted in histograms are rows again."""
        if name not in self._tables:
            table = _read_parquet(self.paths.table(name)).select(TABLES[name].names).cast(TABLES[name])
            self._tables[name] = _with_counted(table, self.table("histograms")) if name == "requests" else table
        return self._tables[name]

    def batches(self, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns of one of `TABLES`, batch by batch; a table that is not in memory is not kept there."""
        if name in self._tables:
            yield from self._tables[name].select(columns).to_batches(max_chunksize=_BATCH_ROWS)
        else:
            with pq.ParquetFile(self.paths.table(name)) as file:
                yield from file.iter_batches(_BATCH_ROWS, columns=list(columns))

    def stream_rows(self, stream: str, columns: Sequence[str], *, encoded: bool = False) -> pa.Table:
        """These columns of the events on the streams of that name, in their order; the other rows are not kept.

        `encoded`: texts may come dictionary-encoded, each only once.
        """
        if "events" in self._tables:
            events = self._tables["events"]
            return events.select(columns).filter(pc.equal(events["stream"], stream))
        texts = [field.name for field in TABLES["events"] if pa.types.is_string(field.type)]
        with pq.ParquetFile(self.paths.table("events"), read_dictionary=texts) as file:
            read = list(dict.fromkeys((*columns, "stream")))
            parts = [
                batch.select(columns).filter(_are(batch["stream"], stream))
                for batch in file.iter_batches(_BATCH_ROWS, columns=read)
            ]
            rows = pa.Table.from_batches(parts) if parts else file.read(columns=list(columns))
        return rows if encoded else rows.cast(pa.schema([TABLES["events"].field(name) for name in columns]))

    def with_table(self, name: str, table: pa.Table) -> Self:
        """The same record with this table in place of the one of that name."""
        return replace(self, _tables={**self._tables, name: table})

    def has(self, name: str) -> bool:
        """Whether the table was written at all; an empty table was."""
        return name not in self._absent

    def digest(self) -> dict[str, str]:
        """SHA-256 of every file that the judgement rests on, by its path in the run directory."""
        return {str(file.relative_to(self.paths.root)): sha256(file) for file in _record_files(self.paths)}


def _are(column: pa.DictionaryArray, text: str) -> pa.BooleanArray:
    """Which of these texts, dictionary-encoded, are that one."""
    return pc.equal(column.dictionary, text).take(column.indices)


def _require_files(paths: RunPaths) -> None:
    """Refuses pipes and devices, at which a reader would wait for ever. Raises InputError."""
    streams = (path for name in TABLES for path in _streams(paths, name))
    for path in (paths.run, paths.faults, *(paths.table(name) for name in TABLES), *streams):
        require_file(path)


def _document(path: Path, kind: type[_Document]) -> tuple[_Document, bytes]:
    """The document and the bytes that it was read from."""
    try:
        content = path.read_bytes()
        _require_version(path, msgspec.json.decode(content, type=_Stamp).schema)
        return msgspec.json.decode(content, type=kind), content
    except FileNotFoundError as error:
        raise InputError(f"missing: every run directory has a {path.name}", file=str(path), hint=MEND) from error
    except OSError as error:
        raise InputError(f"cannot be read: {_first_line(error)}", file=str(path), hint=MEND) from error
    except NOT_JSON as error:
        raise InputError(f"is no {path.name} of a run: {_first_line(error)}", file=str(path), hint=MEND) from error


def _require_version(path: Path, schema: str) -> None:
    """Raises InputError for a record of another version: its columns have other names or meanings."""
    if schema == SCHEMA_VERSION:
        return
    version = _VERSION.fullmatch(schema)
    if version is None:
        message = f"has the schema {schema!r}, expected {SCHEMA_VERSION!r}"
        raise InputError(message, file=str(path), key="schema", hint=MEND)
    age = "an earlier" if int(version[2]) < int(SCHEMA_VERSION.rpartition("/")[2]) else "a later"
    message = f"is a {version[1]}, written by {age} gatecrash"
    hint = "judge it with the version that wrote it, or rehearse again"
    raise InputError(message, file=str(path), key="schema", hint=hint)


def _faults(paths: RunPaths, run: RunDocument, marks: list[Anomaly]) -> FaultsDocument:
    planned = bool(run.scenario.get("faults"))
    faults = FaultsDocument(schema=SCHEMA_VERSION, faults=())
    if paths.faults.exists() or (planned and run.complete):
        faults, _ = _document(paths.faults, FaultsDocument)
    elif planned:
        marks.append(_mark("faults.json", "what was broken was never written down"))
    require_faults_seal(paths.faults, run)
    return faults


def _is_sealed(paths: RunPaths, name: str, run: RunDocument) -> bool:
    """Whether the run wrote the table. Raises InputError when it was changed since."""
    finished = paths.table(name)
    if name in run.tables and finished.exists():
        _require_columns(finished, _guarded(finished, "Parquet", pq.read_schema), name)
    require_table_seal(finished, name, run)
    return name in run.tables


def _table(paths: RunPaths, name: str, complete: bool, marks: list[Anomaly]) -> pa.Table | None:
    finished = paths.table(name)
    if finished.exists():
        return _conform(finished, _guarded(finished, "Parquet", _read_parquet), name)
    streams = _streams(paths, name)
    if streams:
        parts = [_conform(stream, _guarded(stream, "Arrow IPC stream", _salvage), name) for stream in streams]
        table = _distinct(pa.concat_tables(parts)) if len(parts) > 1 else parts[0]
        marks.append(_mark(name, f"never finished: {table.num_rows} rows were read from what the run left behind"))
        return table
    if complete and name in CORE_TABLES:
        raise InputError("missing from a run that says it is complete", file=str(finished), hint=MEND)
    if name in CORE_TABLES:
        marks.append(_mark(name, "never written"))
    return None


def _with_counted(requests: pa.Table, cells: pa.Table) -> pa.Table:
    return pa.concat_tables([requests, expand(cells)]) if cells.num_rows else requests


def _streams(paths: RunPaths, name: str) -> list[Path]:
    spooled = sorted(paths.spool(name, 0).parent.glob(f"{name}-*.arrows"))
    live = paths.live_table(name)
    return [live, *spooled] if live.exists() else spooled


def _read_parquet(path: Path) -> pa.Table:
    table = pq.ParquetFile(path, page_checksum_verification=True).read()
    table.validate(full=True)
    return table.combine_chunks()


def _salvage(path: Path) -> pa.Table | None:
    """The whole batches of a stream that may end anywhere. None when nothing was written to it yet."""
    if path.stat().st_size == 0:
        return None
    with pa.memory_map(str(path)) as source:
        stream = pa.ipc.open_stream(source)
        table = pa.Table.from_batches(_whole_batches(stream), schema=stream.schema)
        table.validate(full=True)
        return table.combine_chunks()


def _whole_batches(stream: pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            yield stream.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError):  # the crash cut this batch short; the batches before it are whole
            return


def _guarded(path: Path, what: str, read: Callable[[Path], _Read]) -> _Read:
    try:
        return read(path)
    except _UNREADABLE as error:
        message = f"is no readable {what} file: {_first_line(error)}"
        raise InputError(message, file=str(path), hint=MEND) from error


def _conform(path: Path, table: pa.Table | None, name: str) -> pa.Table:
    """The table with the columns of its schema, in their order; anything else is refused by the column's name."""
    expected = TABLES[name]
    if table is None:
        return expected.empty_table()
    _require_columns(path, table.schema, name)
    for field in expected:
        if not field.nullable and table.column(field.name).null_count:
            raise InputError("column has nulls where none are allowed", file=str(path), key=field.name, hint=MEND)
    return table.select(expected.names).cast(expected)


def _require_columns(path: Path, found: pa.Schema, name: str) -> None:
    expected = TABLES[name]
    for field in expected:
        if field.name not in found.names:
            raise InputError(
                f"has no column {field.name}, expected by {name}", file=str(path), key=field.name, hint=MEND
            )
        kind = found.field(field.name).type
        if kind != field.type:
            message = f"column has the type {kind}, expected {field.type}"
            raise InputError(message, file=str(path), key=field.name, hint=MEND)
    extra = [column for column in found.names if column not in expected.names]
    if extra or len(found.names) != len(expected):
        message = f"has columns that {name} does not have: {', '.join(extra) or 'one of its own twice'}"
        raise InputError(message, file=str(path), hint=MEND)


def _distinct(table: pa.Table) -> pa.Table:
    """The table without repeated rows: a row can be both in the master's stream and in a worker's spool.

    The other rows keep their order, which Arrow's groups would lose.
    """
    numbered = table.append_column("at", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(table.column_names, use_threads=False).aggregate([("at", "min")])
    return first.sort_by("at_min").drop_columns(["at_min"])


def _record_files(paths: RunPaths) -> list[Path]:
    candidates = [paths.run, paths.faults]
    for name in TABLES:
        candidates += [paths.table(name)] if paths.table(name).exists() else _streams(paths, name)
    return [path for path in candidates if path.exists()]


def _mark(source: str, text: str) -> Anomaly:
    return Anomaly(t_s=None, source=source, text=text)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

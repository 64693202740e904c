"""The seals of a finished run: what each file of the record held when the run ended, kept in run.json.

A row that is cut off the end of a table, moved, doubled or taken from another run leaves no hole that could be seen in
the table itself. The seals show it: rows and SHA-256 of each table, SHA-256 of faults.json, and one over run.json.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq

from harness.errors import InputError
from harness.record.paths import RunPaths
from harness.record.schema import TABLES, RunDocument, TableSeal

RUN_ID: Final = b"gatecrash.run_id"
"""In the metadata of every table: the run that wrote it."""
MEND: Final = "restore the file, or rehearse again"


def seal(paths: RunPaths, document: RunDocument) -> RunDocument:
    """The document of a run that is over, sealed together with the files as they are now. Raises OSError."""
    tables = {name: _seal(paths.table(name)) for name in TABLES if paths.table(name).exists()}
    faults = sha256(paths.faults) if paths.faults.exists() else ""
    sealed = msgspec.structs.replace(document, tables=tables, faults_sha256=faults, sealed="")
    return msgspec.structs.replace(sealed, sealed=_own_digest(sealed))


def require_own_seal(path: Path, document: RunDocument) -> None:
    """run.json is as it was sealed. Raises InputError."""
    if document.sealed and document.sealed != _own_digest(msgspec.structs.replace(document, sealed="")):
        raise InputError("has changed since the run wrote it", file=str(path), hint=MEND)


def require_faults_seal(path: Path, document: RunDocument) -> None:
    """faults.json is the one that this run wrote, and is there if it wrote one. Raises InputError."""
    if document.sealed and (sha256(path) if path.exists() else "") != document.faults_sha256:
        raise InputError("is not the one that this run wrote", file=str(path), hint=MEND)


def require_table_seal(path: Path, name: str, document: RunDocument) -> None:
    """The table is as this run wrote it, and is there if it wrote one. Raises InputError, telling what is wrong.

    Its file must be readable Parquet; ArrowException otherwise.
    """
    sealed = document.tables.get(name)
    if sealed is None:
        if path.exists():
            raise InputError("this run wrote no such table", file=str(path), hint=MEND)
        return
    if not path.exists():
        rows = f"{sealed.rows} row{'' if sealed.rows == 1 else 's'}"
        raise InputError(f"missing: the run wrote it, with {rows}", file=str(path), hint=MEND)
    metadata = pq.read_metadata(path)
    written_by = (metadata.metadata or {}).get(RUN_ID, b"").decode()
    if written_by != document.run_id:
        raise InputError(f"is of the run {written_by or '?'}, not of {document.run_id}", file=str(path), hint=MEND)
    if metadata.num_rows != sealed.rows:
        message = f"has {metadata.num_rows} rows, but the run wrote {sealed.rows}"
        raise InputError(message, file=str(path), hint=MEND)
    if sha256(path) != sealed.sha256:
        raise InputError("has changed since the run wrote it, though not in length", file=str(path), hint=MEND)


def sha256(path: Path) -> str:
    """Of the file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(path: Path) -> TableSeal:
    return TableSeal(rows=pq.read_metadata(path).num_rows, sha256=sha256(path))


def _own_digest(document: RunDocument) -> str:
    return hashlib.sha256(msgspec.json.encode(document)).hexdigest()

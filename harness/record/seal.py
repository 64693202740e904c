"""The seals of a finished run, kept in run.json: they say what each file of the record held when the run ended.

When a row is cut off the end of a table, moved, doubled or taken from another run, the table itself does not show it.
The seals do: rows and SHA-256 of each table, SHA-256 of faults.json, and a seal over run.json. The seal over run.json
names its kind: `sha256:…`, or `hmac-sha256:…` when the run had a key (see `seal_key`). A keyed process refuses what was
sealed without its key, and a process without a key refuses what was sealed with one. verdict.json has a seal of its own
when there is a key.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq

from harness.errors import InputError
from harness.input_file import NOT_JSON
from harness.record import seal_key
from harness.record.paths import RunPaths
from harness.record.schema import TABLES, RunDocument, TableSeal
from harness.record.verdict import Verdict

RUN_ID: Final = b"gatecrash.run_id"
"""In the metadata of every table: the run that wrote it."""
MEND: Final = "restore the file, or rehearse again"
KEYED: Final = "hmac-sha256"
_PLAIN: Final = "sha256"
_RUN: Final = b"gatecrash run\0"
_VERDICT: Final = b"gatecrash verdict\0"


def seal(paths: RunPaths, document: RunDocument) -> RunDocument:
    """Seal the document of a run that is over, together with the files as they are now. Raises OSError.

    Raises InputError when the key in the environment is too short to seal with.
    """
    tables = {name: _seal(paths.table(name)) for name in TABLES if paths.table(name).exists()}
    faults = sha256(paths.faults) if paths.faults.exists() else ""
    sealed = msgspec.structs.replace(document, tables=tables, faults_sha256=faults, sealed="")
    return msgspec.structs.replace(sealed, sealed=_seal_of(_RUN, msgspec.json.encode(sealed)))


def control_seal(paths: RunPaths) -> str:
    """The seal of a paired run's control; "" when there is none, or it was never finished."""
    try:
        return msgspec.json.decode(paths.control.run.read_bytes(), type=RunDocument).sealed
    except (OSError, *NOT_JSON):
        return ""


def require_own_control(paths: RunPaths, document: RunDocument, control: RunDocument) -> None:
    """Check that the control of a finished run is the one that was carried out with it. Raises InputError."""
    if document.sealed and control.sealed != document.control_sealed:
        message = f"is the control of another run (it is {control.run_id!r}), not of {document.run_id}"
        raise InputError(message, file=str(paths.control.run), hint=MEND)


def require_own_seal(path: Path, document: RunDocument, written: bytes) -> None:
    """Check that run.json, whose bytes are `written`, is unchanged and was sealed with our key. Raises InputError.

    What it holds is checked as it was written: a record stays whole when a later gatecrash knows more fields.
    """
    if document.sealed:
        content = msgspec.json.encode(msgspec.json.decode(written) | {"sealed": ""})
        _require_seal(path, document.sealed, _RUN, content, "the run wrote it")


def seal_verdict(verdict: Verdict) -> Verdict:
    """The verdict with a seal over all its fields when there is a key; without a key unchanged."""
    bare = msgspec.structs.replace(verdict, seal="")
    if seal_key.current() is None:
        return bare
    return msgspec.structs.replace(bare, seal=_seal_of(_VERDICT, msgspec.json.encode(bare)))


def require_verdict_seal(path: Path, written: dict[str, object]) -> None:
    """Check that verdict.json, decoded, was sealed with our key; without a key there is no check. Raises InputError."""
    if seal_key.current() is not None:
        content = msgspec.json.encode({**written, "seal": ""})
        _require_seal(path, str(written.get("seal", "")), _VERDICT, content, "the verdict was given")


def require_faults_seal(path: Path, document: RunDocument) -> None:
    """Check that faults.json is the file that this run wrote, if it wrote one. Raises InputError."""
    if document.sealed and (sha256(path) if path.exists() else "") != document.faults_sha256:
        raise InputError("is not the one that this run wrote", file=str(path), hint=MEND)


def require_table_seal(path: Path, name: str, document: RunDocument) -> None:
    """Check that the table is as this run wrote it, if it wrote one. Raises InputError, telling what is wrong.

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
    written_by = (metadata.metadata or {}).get(RUN_ID, b"").decode("utf-8", "replace")
    if written_by != document.run_id:
        raise InputError(f"is of the run {written_by or '?'}, not of {document.run_id}", file=str(path), hint=MEND)
    if metadata.num_rows != sealed.rows:
        message = f"has {metadata.num_rows} rows, but the run wrote {sealed.rows}"
        raise InputError(message, file=str(path), hint=MEND)
    if sha256(path) != sealed.sha256:
        raise InputError("has changed since the run wrote it, though not in length", file=str(path), hint=MEND)


def sha256(path: Path) -> str:
    """SHA-256 of the file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(path: Path) -> TableSeal:
    return TableSeal(rows=pq.read_metadata(path).num_rows, sha256=sha256(path))


def _seal_of(purpose: bytes, content: bytes) -> str:
    key = seal_key.current()
    if key is None:
        return f"{_PLAIN}:{hashlib.sha256(purpose + content).hexdigest()}"
    return f"{KEYED}:{hmac.digest(key, purpose + content, 'sha256').hex()}"


def _require_seal(path: Path, found: str, purpose: bytes, content: bytes, since: str) -> None:
    keyed, has_key = found.startswith(f"{KEYED}:"), seal_key.current() is not None
    if keyed and not has_key:
        hint = f"set {seal_key.VARIABLE} to the key that the run had"
        raise InputError("was sealed with a key, and there is none here", file=str(path), hint=hint)
    if has_key and not keyed:
        hint = f"rehearse again with {seal_key.VARIABLE} set, or unset it to trust a seal without a key"
        raise InputError("was sealed without a key", file=str(path), hint=hint)
    if not hmac.compare_digest(found.encode(), _seal_of(purpose, content).encode()):
        if keyed:
            message = f"does not fit {seal_key.VARIABLE}: it was sealed with another key, or has changed since {since}"
            raise InputError(message, file=str(path), hint=f"set the key that the run had; else {MEND}")
        raise InputError(f"has changed since {since}", file=str(path), hint=MEND)

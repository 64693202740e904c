"""`prepare`: the user's own command that makes their platform fresh before a run.

It runs in the scenario's folder, in a process group of its own, and for a bounded time; $PYTHON is the interpreter that
runs gatecrash, whatever the user calls by that name. Lines KEY=VALUE of its output replace `url` and `settings.NAME`;
all that it says is kept in a log, without the values of secrets.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from harness.processes.managed import below, end_all, ending
from harness.processes.signals import uninterrupted
from harness.record.seal_key import stripped_environment
from harness.scenario import OwnPlatform
from harness.scenario.environment import redacted, secret_values
from harness.scenario.own_checks import Complaint

_LINE: Final = re.compile(r"(url|settings\.([A-Za-z_][A-Za-z0-9_-]*))=(.*)")
_MEANT: Final = re.compile(r"url\s*=\s*|url\s+=.*|settings\.[^\s=]*\s*=.*")
_WORDS_MAX: Final = 300
_KEPT_BYTES: Final = 1_000_000


class Prepared(msgspec.Struct, frozen=True):
    """What the preparation replaces. `url` "": nothing."""

    url: str = ""
    settings: dict[str, str | int | float | bool] = {}


def prepare(platform: OwnPlatform, folder: Path, log: Path, error: Complaint) -> Prepared:
    """Run it. Raises InputError: it failed, was not done in time, printed a secret as a setting, or a line that was
    meant to set something and does not."""
    values = secret_values(platform)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = _ended(platform, folder, out, err)
        except OSError as problem:
            raise error(f"cannot be started: {problem}", "platform", "prepare") from None
        said, complained = _lines(out), [redacted(line, values) for line in _lines(err)]
    log.write_text("".join(f"{line}\n" for line in [*(redacted(line, values) for line in said), *complained]))
    last = next((line.strip() for line in [*said, *complained][::-1] if line.strip()), "")
    because = f": {redacted(last, values)[:_WORDS_MAX]}" if last else ""
    if code is None:
        within = f"was not done within {platform.prepare_within_s:g} s"
        raise error(f"{within}{because}", "platform", "prepare", hint=f"raise prepare_within_s; see {log}")
    if code != 0:
        raise error(f"it {ending(code)}{because}", "platform", "prepare", hint=f"see {log}")
    if amiss := next((line.strip() for line in said if _is_amiss(line.strip())), ""):
        shown = redacted(amiss, values)[:_WORDS_MAX]
        hint = "write url=ADDRESS or settings.NAME=VALUE without spaces; a NAME has letters, digits, _ and -"
        raise error(f"it printed {shown!r}, which sets nothing", "platform", "prepare", hint=hint)
    found = read(said)
    for name, value in {"url": found.url, **found.settings}.items():
        if redacted(str(value), values) != str(value):
            raise error(
                f"it printed a secret as {name}, which is recorded", "platform", "prepare", hint="name it under secrets"
            )
    return found


def read(lines: Sequence[str]) -> Prepared:
    """What the lines replace; a later line wins. Values are read as the words true and false, numbers, or text."""
    url, settings = "", dict[str, str | int | float | bool]()
    for line in lines:
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        if match[2]:
            settings[match[2]] = _value(match[3])
        else:
            url = match[3]
    return Prepared(url, settings)


def _is_amiss(line: str) -> bool:
    """Whether it was meant to replace something and replaces nothing: the run would go on with what it had before."""
    return _MEANT.fullmatch(line) is not None and (line == "url=" or _LINE.fullmatch(line) is None)


def _value(text: str) -> str | int | float | bool:
    with contextlib.suppress(msgspec.DecodeError):
        value = msgspec.json.decode(text)
        if isinstance(value, bool | int | float):
            return value
    return text


def _ended(platform: OwnPlatform, folder: Path, out: IO[bytes], err: IO[bytes]) -> int | None:
    """Its exit code; null: it was not done in time. After a success what it left in the background goes on: that may be
    the platform itself, which is why its output is files, not pipes that end with us."""
    process: subprocess.Popen[bytes] | None = None
    code: int | None = None
    try:
        with uninterrupted():
            process = subprocess.Popen(
                ["/bin/sh", "-c", platform.prepare],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**stripped_environment(), "PYTHON": sys.executable},
                start_new_session=True,
            )
        code = process.wait(platform.prepare_within_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        if process is not None and code != 0:
            _kill(process)
    return code


def _lines(file: IO[bytes]) -> list[str]:
    """The lines of the last part of what was said."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _KEPT_BYTES))
    return file.read().decode("utf-8", "replace").splitlines()


def _kill(process: subprocess.Popen[bytes]) -> None:
    family = below(process.pid) if process.poll() is None else []
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    end_all(family)
    process.wait()

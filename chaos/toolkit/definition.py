"""An experiment as an argument of Chaos Toolkit's: a name, a file, or the whole definition as plain data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from chaos.specification import experiment as experiments
from chaos.specification.experiment import Experiment
from harness.errors import InputError


def load(wanted: str | Mapping[str, object]) -> Experiment:
    """Checked like a file of the user's own. Raises InputError."""
    return experiments.load(wanted) if isinstance(wanted, str) else parse(wanted)


def parse(data: Mapping[str, object]) -> Experiment:
    """The definition as plain data. Raises InputError, which names the key and no file: there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return experiments.load(write(data, Path(folder)))
        except InputError as error:
            raise InputError(error.message, key=error.key, hint=error.hint) from error


def write(data: Mapping[str, object], folder: Path) -> Path:
    """Put it into a file that `gatecrash drill` takes."""
    path = folder / "experiment.yaml"
    path.write_bytes(msgspec.json.encode(data))  # JSON is YAML
    return path


def plain(experiment: Experiment) -> dict[str, object]:
    """The definition as plain data, every default filled in."""
    return msgspec.convert(msgspec.to_builtins(experiment), dict[str, object])

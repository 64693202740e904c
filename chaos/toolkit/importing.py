"""Imports a file of Chaos Toolkit's as an experiment of ours: files of `export`, and of chaostoolkit-toxiproxy.

The common subset is: all faults at once, one window, then healing. Other content is refused with its place in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.specification.experiment import Experiment
from chaos.toolkit import definition, from_toxiproxy
from chaos.toolkit.document import Activity, Document
from chaos.toolkit.from_toxiproxy import Imported, not_supported
from harness.errors import InputError
from harness.yaml_file import Keys, YamlFile

_STRANGE: Final = {
    "controls": "gatecrash has no hooks around its steps",
    "secrets": "gatecrash takes none",
    "contributions": "gatecrash has no word for it",
    "dry": "`gatecrash experiment check` starts nothing",
    "background": "the faults of an experiment are injected together, and nothing else goes on meanwhile",
    "ref": "write the activity out",
    "timeout": "every step of gatecrash is bounded in time",
}


def read(path: Path) -> Imported:
    """Read the file. Raises InputError, with file, line and key of the first part that is not supported."""
    file = YamlFile(path)
    _refuse_strange(file, file.data, ())
    document = file.decode(Document)
    if document.runtime.hypothesis.strategy != "default":
        raise file.error("only 'default' is supported", "runtime", "hypothesis", "strategy")
    imported = _exported(document, file) or from_toxiproxy.read(document, file)
    try:
        definition.parse(definition.plain(imported.experiment))
    except InputError as error:
        raise InputError(f"what comes of it is no experiment: {error}", file=str(path)) from error
    return imported


def _refuse_strange(file: YamlFile, data: object, keys: Keys) -> None:
    """Keys of the format that have no counterpart, and activities that are no Python function."""
    if isinstance(data, list):
        for at, one in enumerate(data):
            _refuse_strange(file, one, (*keys, at))
        return
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        if key in {"arguments", "configuration"}:
            continue
        if key in _STRANGE:
            raise file.error("is not supported", *keys, key, hint=_STRANGE[key])
        if key == "provider" and isinstance(value, dict) and value.get("type") in ("process", "http"):
            hint = "gatecrash knows its own module and that of chaostoolkit-toxiproxy"
            raise file.error(f"a provider of type {value['type']} is not supported", *keys, key, hint=hint)
        _refuse_strange(file, value, (*keys, key))


def _exported(document: Document, file: YamlFile) -> Imported | None:
    """The experiment of our own action in the method; None when the method has none."""
    every = list(_activities(document))
    begins = [(keys, one) for keys, one in every if one.provider.is_ours and one.provider.func in {"inject", "drill"}]
    if not begins:
        return None
    for keys, activity in every:
        if not activity.provider.is_ours:
            raise not_supported(activity, file, keys)
    if len(begins) > 1:
        raise file.error("a second injection is not supported", *begins[1][0], hint="one file for each experiment")
    return Imported(_argument(begins[0][1], file, begins[0][0]))


def _argument(activity: Activity, file: YamlFile, keys: Keys) -> Experiment:
    place = (*keys, "provider", "arguments")
    wanted, length_s = (activity.provider.arguments.get(key) for key in ("experiment", "length_s"))
    if not isinstance(wanted, str | dict):
        raise file.error("expected a name or a definition", *place, "experiment")
    try:
        experiment = definition.load(wanted)
    except InputError as error:
        raise file.error(str(error), *place, "experiment") from error
    if isinstance(length_s, int | float):
        return msgspec.structs.replace(experiment, length_s=float(length_s))
    if length_s is not None:
        raise file.error("expected a number", *place, "length_s")
    return experiment


def _activities(document: Document) -> Iterator[tuple[Keys, Activity]]:
    """Every activity, with the way to it."""
    probes = document.hypothesis.probes if document.hypothesis else ()
    for place, activities in ((("steady-state-hypothesis", "probes"), probes), (("method",), document.method),
                              (("rollbacks",), document.rollbacks)):  # fmt: skip
        for at, activity in enumerate(activities):
            yield (*place, at), activity

"""Loads the user's own classes by "FILE:CLASS": platform adapters and journeys."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from harness.errors import GatecrashError, InputError
from harness.input_file import is_file
from harness.swarm.users.crashes import place_of

TREE: Final = Path(__file__).resolve().parents[3]
_OFFERED: Final = {
    "gatecrash": "harness/launcher.py",
    "gatecrash.adapter": "harness/adapter/kit.py",
    "gatecrash.journeys": "scenarios/journeys.py",
    "gatecrash.plugins": "harness/plugins/kit.py",
}


def load_class(reference: str) -> type:
    """The class that "FILE:CLASS" names. Raises `InputError`."""
    file, _, name = reference.rpartition(":")
    if not file or not name:
        raise InputError(
            f"{reference!r} is not FILE:CLASS", hint="for example scenarios/reference/platform.py:ReferencePlatform"
        )
    module = _module(find_file(file))
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise InputError(f"{file} has no class {name}", hint="the part after the colon is the name of a class")
    return found


def find_file(file: str) -> Path:
    """FILE of a "FILE:CLASS": a path, or one relative to the tree that gatecrash lives in. Raises `InputError`."""
    for path in (Path(file), TREE / file):
        if is_file(path):
            return path.resolve()
    raise InputError(f"there is no file {file}", hint="give its path, or one relative to the working directory")


def load_module(file: str) -> ModuleType:
    """The module of a user's own file. Raises `InputError`."""
    return _module(find_file(file))


def _module(path: Path) -> ModuleType:
    """A file of our own tree is imported by its package name, so that it exists once; any other by its path."""
    offer_gatecrash()
    try:
        if path.is_relative_to(TREE):
            return importlib.import_module(".".join(path.relative_to(TREE).with_suffix("").parts))
        name = f"gatecrash_user_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError("its name must end in .py")  # noqa: TRY301 - said as the others are
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        sys.path.insert(0, str(path.parent))
        spec.loader.exec_module(module)
    except GatecrashError:
        raise
    except (Exception, SystemExit) as error:  # a file that ends the process at import is as wrong as one that raises
        words = f"{type(error).__name__}: {error}" if not isinstance(error, ImportError | SyntaxError) else str(error)
        where = place_of(error.__traceback__)
        shown = f" ({where})" if where and not isinstance(error, SyntaxError) else ""
        raise InputError(f"{path} cannot be loaded: {words}{shown}", hint="does it import on its own?") from error
    return module


def offer_gatecrash() -> None:
    """Let users' files and plugins import `gatecrash.…` in a checkout as from a wheel, loaded when first used."""
    if "gatecrash" in sys.modules or importlib.util.find_spec("gatecrash") is not None:
        return
    for name, file in _OFFERED.items():
        spec = importlib.util.spec_from_file_location(
            name, TREE / file, submodule_search_locations=[] if name == "gatecrash" else None
        )
        assert spec is not None  # noqa: S101 - these files are ours
        assert spec.loader is not None  # noqa: S101
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)

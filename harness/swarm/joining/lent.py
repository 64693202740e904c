"""What a worker machine's operator lends a master: the files and variables that were named on the command line.

A master says which files a worker loads and which variables of the environment it reads. It has proved the run's key,
and yet it gets no more than the operator named here, and what comes with gatecrash itself. A file is known by what it
holds, so it may lie elsewhere than at the master.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import InputError
from harness.input_file import is_file
from harness.scenario import OwnPlatform
from harness.scenario.environment import variables
from harness.swarm.joining.handshake import digest_of, named_files
from harness.swarm.messaging.protocol import NO_ADAPTER, SwarmSpec
from harness.swarm.users.loader import TREE

_JOURNEYS: Final = TREE / "scenarios"
_SHOWN_DIGITS: Final = 16


class Lent(msgspec.Struct, frozen=True):
    """`files`: sha256 → where the file is on this machine. `variables`: of the environment."""

    files: dict[str, str] = {}
    variables: frozenset[str] = frozenset()

    @classmethod
    def of(cls, files: Sequence[Path], names: Sequence[str]) -> Lent:
        """What the command line names. Raises InputError for a file that is not there."""
        for file in files:
            if not is_file(file):
                raise InputError(f"there is no file {file}", key="--load", hint="give its path on this machine")
        return cls({digest_of(file): str(file.resolve()) for file in files}, frozenset(names))

    def only(self, spec: SwarmSpec, digests: dict[str, str]) -> SwarmSpec:
        """The spec with the files of this machine; `digests`: the master's. Raises InputError for any that is not lent.

        Reads no file that the master names.
        """
        found = {file: self._file(file, digests.get(file, "")) for file in named_files(spec)}
        own = spec.addresses.own
        if own is not None:
            self._require_variables(own)
            own = msgspec.structs.replace(
                own, people=found.get(own.people, ""), ca_file=found.get(own.ca_file, ""), prepare="", parts={}
            )
        scenario, codes = spec.scenario, found.get(spec.scenario.codes_shown, "")
        return msgspec.structs.replace(
            spec,
            scenario=msgspec.structs.replace(scenario, load=msgspec.structs.replace(scenario.load, codes=codes)),
            platform=_class_in(found.__getitem__, spec.platform),
            journeys=msgspec.structs.replace(
                spec.journeys,
                **{kind: _class_in(found.__getitem__, one) for kind, one in spec.journeys.classes.items()},
                locustfile=found.get(spec.journeys.locustfile, ""),
            ),
            addresses=msgspec.structs.replace(spec.addresses, own=own),
        )

    def _file(self, file: str, digest: str) -> str:
        shipped = _shipped(file)
        if shipped is not None:
            if digest_of(shipped) != digest:
                raise InputError("is not the same as at the master", file=file, hint="install the same on both")
            return str(shipped)
        here = self.files.get(digest) or _shipped_codes().get(digest)
        if here is None:
            raise InputError(
                f"the master asks for {file} (sha256 {digest[:_SHOWN_DIGITS]}…), which you did not name",
                key="--load",
                hint="if you trust it: copy it here and add --load FILE",
            )
        return here

    def _require_variables(self, own: OwnPlatform) -> None:
        missing = sorted({variable for _, variable in variables(own)} - self.variables)
        if missing:
            raise InputError(
                f"the master asks for {', '.join(missing)} of your environment, which you did not name",
                key="--secret",
                hint="if the platform may see it: add --secret NAME",
            )


def _shipped(file: str) -> Path | None:
    """The file of our own journeys and adapters that it names, wherever we are; null: it is none."""
    path = (TREE / file).resolve()
    ours = path.is_relative_to(_JOURNEYS) or file == NO_ADAPTER.rpartition(":")[0]
    return path if not Path(file).is_absolute() and ours and path.suffix == ".py" and path.is_file() else None


@cache
def _shipped_codes() -> dict[str, str]:
    """sha256 → where it is here, of each file of access codes that comes with gatecrash."""
    return {digest_of(file): str(file) for file in _JOURNEYS.glob("*.txt")}


def _comes_with_gatecrash(file: str) -> bool:
    path = Path(file)
    return _shipped(file) is not None or (is_file(path) and digest_of(path) in _shipped_codes())


def _class_in(find: Callable[[str], str], reference: str) -> str:
    file, _, name = reference.rpartition(":")
    return f"{find(file)}:{name}"


def to_lend(spec: SwarmSpec) -> tuple[str, ...]:
    """The options that lend all of it: what an operator would paste."""
    files = [word for file in named_files(spec) if not _comes_with_gatecrash(file) for word in ("--load", file)]
    own = spec.addresses.own
    names = sorted({variable for _, variable in variables(own)}) if own else []
    return (*files, *(word for name in names for word in ("--secret", name)))

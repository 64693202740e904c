"""What the shell offers after Tab where a name is expected. Files are completed by the shell itself."""

from __future__ import annotations


def scenarios(incomplete: str) -> list[str]:
    """The scenarios that come with gatecrash and begin so."""
    from harness.scenario.file import FOLDER

    return _beginning([path.stem for path in FOLDER.glob("*.yaml")], incomplete)


def experiments(incomplete: str) -> list[str]:
    """The experiments that come with gatecrash and begin so."""
    from chaos.specification.experiment import names

    return _beginning(names(), incomplete)


def bugs(incomplete: str) -> list[str]:
    """The planted bugs of the reference system that begin so."""
    from harness.stack.reference.planted_bugs import planted_bugs

    return _beginning([bug.name for bug in planted_bugs()], incomplete)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))

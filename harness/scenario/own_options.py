"""`--platform FILE:CLASS`, `--stack URL` and `--locustfile FILE`: what puts a platform or users of one's own into a
scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from harness.errors import InputError
from harness.scenario.file import Override, find
from harness.scenario.own_checks import check_url
from harness.yaml_file import YamlFile

PLATFORM: Final = "--platform"
STACK: Final = "--stack"


def is_url(stack: str) -> bool:
    """Whether `--stack` names an address in place of a stack that is raised."""
    return "://" in stack


LOCUSTFILE: Final = "--locustfile"


def own_overrides(scenario: str, platform: str, stack: str, locustfile: str = "") -> list[Override]:
    """What the options change in the scenario of that name or file. Raises InputError.

    The file of an adapter, or of Locust's users, is relative to the working directory here. An address without a path
    keeps the scenario's. A scenario that was written for the reference system loses the rules of that system.
    """
    address = stack if is_url(stack) else ""
    found = []
    if locustfile:
        whole = str(Path(locustfile).absolute())
        found.append(Override("journeys.locustfile", whole, f"{LOCUSTFILE} {locustfile}"))
    if not platform and not address:
        return found
    section = _section(scenario)
    if section is None:
        found.append(Override("on_sale", {}, f"{PLATFORM} {platform}" if platform else f"{STACK} {address}"))
    if platform:
        found.append(Override("platform.adapter", _absolute(platform), f"{PLATFORM} {platform}"))
    if address:
        url = _with_path(address, str((section or {}).get("url") or ""))
        found.append(Override("platform.url", url, STACK))
    return found


def _section(scenario: str) -> dict[str, object] | None:
    data = YamlFile(find(scenario)).data
    section = data.get("platform") if isinstance(data, dict) else None
    return section if isinstance(section, dict) else None


def _absolute(platform: str) -> str:
    file, separator, name = platform.rpartition(":")
    return f"{Path(file).absolute()}{separator}{name}" if file else platform


def _with_path(address: str, before: str) -> str:
    """The address, with the path of the one before where it has none itself."""
    given = check_url(address, lambda text, hint: InputError(text, key=STACK, hint=hint))
    path = given.path.rstrip("/") and given.path
    return urlunsplit((given.scheme, given.netloc, path or urlsplit(before).path, "", ""))

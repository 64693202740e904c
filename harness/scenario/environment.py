"""Values that a platform section names and the environment holds: secrets, and headers given as `env:NAME`.

Each process that needs a value reads it here from its own environment. No value goes into a file, a message or a
command line; texts that an adapter or a script wrote pass `redacted` before they are shown or kept.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.scenario.own_platform import FROM_ENVIRONMENT, OwnPlatform
from harness.yaml_file import Keys

HIDDEN: Final = "***"
_SHORTEST: Final = 4  # a shorter value would be found in words that have nothing to do with it


def variables(platform: OwnPlatform) -> Iterator[tuple[Keys, str]]:
    """Every variable that the section names, with the key that names it."""
    for name, variable in platform.secrets.items():
        yield ("platform", "secrets", name), variable
    for name, value in platform.headers.items():
        if value.startswith(FROM_ENVIRONMENT):
            yield ("platform", "headers", name), value.removeprefix(FROM_ENVIRONMENT)
    for source, page in platform.metrics.items():
        for name, value in page.headers.items():
            if value.startswith(FROM_ENVIRONMENT):
                yield ("platform", "metrics", source, "headers", name), value.removeprefix(FROM_ENVIRONMENT)


def header_of(value: str, environment: Mapping[str, str] = os.environ) -> str:
    """A header's value as it is sent; a variable that is not set gives ""."""
    if value.startswith(FROM_ENVIRONMENT):
        return environment.get(value.removeprefix(FROM_ENVIRONMENT), "")
    return value


def headers_of(headers: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Headers as they are sent."""
    return {name: header_of(value, environment) for name, value in headers.items()}


def metrics_headers(platform: OwnPlatform) -> dict[str, dict[str, str]]:
    """Source of metrics → the headers of its requests, as they are sent."""
    return {name: headers_of(page.headers) for name, page in platform.metrics.items()}


def secret_values(platform: OwnPlatform, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The values that nobody may read, of variables and of secret columns of `people`; the longest first."""
    found = {environment.get(variable, "") for _, variable in variables(platform)} | _secrets_of_people(platform)
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST), key=lambda one: (-len(one), one)))


def _secrets_of_people(platform: OwnPlatform) -> set[str]:
    """Nothing where the file cannot be read: that is said elsewhere."""
    if not platform.secret_columns:
        return set()
    try:
        with Path(platform.people).open(encoding="utf-8-sig", newline="") as file:
            return {row.get(column) or "" for row in csv.DictReader(file) for column in platform.secret_columns}
    except (OSError, ValueError, csv.Error):
        return set()


def redacted(text: str, values: Sequence[str]) -> str:
    """The text without these values."""
    for value in values:
        text = text.replace(value, HIDDEN)
    return text

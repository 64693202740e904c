"""The licences of the packages that gatecrash needs, as they declare them, and those that it accepts."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing

from tests.supply.lock import Pin

ACCEPTED = frozenset(
    {
        "MIT", "MIT-0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Apache-2.0", "PSF-2.0", "Unlicense",
        "Zlib", "MPL-2.0", "CC0-1.0", "HPND", "MIT-CMU", "ZPL-2.1",
    }
)  # fmt: skip
"""Permissive, or copyleft for their own files alone: all may be used and passed on with gatecrash, which is MIT."""

_WORDS = (
    (r"MIT License|The MIT License.*|MIT license", "MIT"),
    (r"Apache (Software )?License(,? Version| v)? ?2(\.0)?|Apache 2(\.0)?|Apache Software License", "Apache-2.0"),
    (r"(OSI Approved )?BSD( License)?|BSD-?3.Clause.*|3-Clause BSD.*|New BSD.*|Modified BSD.*", "BSD-3-Clause"),
    (r"ISC License.*", "ISC"),
    (r"Python Software Foundation License|PSF.*|Matplotlib license.*|.*PSF-based.*", "PSF-2.0"),
    (r"Mozilla Public License 2\.0.*", "MPL-2.0"),
)
_ANY = "OSI Approved"
"""A classifier that says nothing of which licence."""
_SPDX = get_spdx_licensing()


def declared(name: str) -> str:
    """What an installed package says of its licence: an SPDX expression where it has one; "" when it says nothing."""
    about = metadata(name)
    if expression := about.get("License-Expression"):
        return str(expression)
    found = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or () if one.startswith("License ::")]
    said = (about.get("License") or "").strip().partition("\n")[0]
    return " AND ".join(sorted({_spdx(one) for one in found if one != _ANY})) or _spdx(said)


def _spdx(words: str) -> str:
    return next((spdx for pattern, spdx in _WORDS if re.fullmatch(pattern, words)), words)


def is_accepted(expression: str) -> bool:
    """Whether all that an SPDX expression names is accepted; of alternatives, whether one is."""
    try:
        return _holds(_SPDX.parse(expression))
    except ExpressionError:
        return False


def _holds(node: Any) -> bool:
    if isinstance(node, _SPDX.AND):
        return all(map(_holds, node.args))
    if isinstance(node, _SPDX.OR):
        return any(map(_holds, node.args))
    return node is not None and node.key in ACCEPTED


def table(lock: list[Pin]) -> list[tuple[str, str, str]]:
    """Package, version and licence of each that belongs on this platform, in the order of their names."""
    return [(pin.name, pin.version, declared(pin.name)) for pin in lock if pin.is_for_here]

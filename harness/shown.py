"""Text that somebody else wrote, as people and CI servers are shown it: on one line, with its control characters seen.

Names of seats, fans and orders come from a platform. An escape sequence in one would repaint the terminal; a line break
and "::error" after it would be a command to GitHub Actions, and "##[" or "##vso[" one to others.
"""

from __future__ import annotations

import re
from typing import Final

# C0 and C1 controls, line and paragraph separators, marks that turn the direction of text, halves of surrogate pairs.
_UNSEEN: Final = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_COMMAND: Final = r"#(?=#[A-Za-z]*\[)"
_hidden_anywhere: Final = re.compile(f"[{_UNSEEN}]|{_COMMAND}").sub
_hidden_in_block: Final = re.compile(f"(?![\n\t])[{_UNSEEN}]").sub
_command_at_start: Final = re.compile(r"^(\s*):(?=:)").sub


def on_one_line(text: str) -> str:
    """One line that no CI server takes for a command. What was not to be seen is written as \\n, \\x1b, \\u2028."""
    return _command_at_start(r"\1\\x3a", _hidden_anywhere(_escape, text))


def in_a_block(text: str) -> str:
    """The same where line ends do no harm: only what cannot be seen is escaped."""
    return _hidden_in_block(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

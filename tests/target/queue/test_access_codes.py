"""The file of access codes as the booking system reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from target.queue.access_codes import AccessCodes, CodeRefusedError


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_code(tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_bytes("ONE-1\nTWO-2\n".encode("utf-8-sig"))
    codes = AccessCodes.of_file(str(file))
    assert codes.digest_of("one-1") != codes.digest_of("TWO-2")


def test_case_is_forgiven_within_ascii_only(tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_text("PASSED\nVIP-1\n")
    codes = AccessCodes.of_file(str(file))
    assert codes.digest_of(" vip-1 ") == codes.digest_of("VIP-1")
    for other in ("paßed", "vıp-1"):
        with pytest.raises(CodeRefusedError, match="no such code"):
            codes.digest_of(other)

"""The file of access codes as the booking system reads it."""

from __future__ import annotations

from pathlib import Path

from target.queue.access_codes import AccessCodes


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_code(tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_bytes("ONE-1\nTWO-2\n".encode("utf-8-sig"))
    codes = AccessCodes.of_file(str(file))
    assert codes.digest_of("one-1") != codes.digest_of("TWO-2")

"""What target/README.md says of guarantees, faults and limits is what the code and the tests have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from target.http import app
from target.http import messages as http
from target.runtime import fallbacks, serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "target/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\btest_\w+", README))))
def test_a_test_that_is_named_exists(name: str) -> None:
    assert list((ROOT / "tests").rglob(f"{name}.py"))


def test_the_fault_table_names_every_fallback_beside_its_breaker() -> None:
    rows = [line.split("|") for line in README.splitlines() if line.startswith("|")]
    told = {(kind, row[2].strip(" `")) for row in rows for kind in re.findall(r"`(\w+)`", row[3]) if len(row) == 6}
    known = {(each.kind, each.dependency) for each in fallbacks.TABLE}
    assert known <= told
    assert {kind for kind, dependency in told if dependency in {"redis", "db", "payments"}} == {k for k, _ in known}


def test_the_limits_are_those_of_the_code() -> None:
    assert f"longer than {http.BODY_WITHIN_S:.0f} s" in README
    assert f"413 above {http.BODY_BYTES_MAX // 1024} KiB" in README
    assert f"address above {app.TARGET_BYTES_MAX // 1024} KiB" in README
    assert re.search(rf"headers above {app.HEADER_BYTES_MAX // 1024} KiB or more than {app.HEADERS_MAX}", README)
    assert f"A head that takes longer than {serving.HEADER_WITHIN_MS // 1000} s" in README


def test_every_part_has_a_guarantee_that_a_test_shows() -> None:
    table = README.split("| Part | Guarantee | Shown by |")[1].split("\n\n")[0].strip().splitlines()[1:]
    assert len(table) > 15
    assert all(re.search(r"`test_\w+`", row.split("|")[3]) for row in table)

"""What a user is told when a YAML file is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from harness.errors import InputError
from harness.yaml_file import BYTES_MAX, YamlFile, load, spell


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fans: int = 1
    mode: Literal["warm", "cold"] = "warm"


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="cut"):
    proxy: str


class Slow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="slow"):
    proxy: str
    by_ms: int


class Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    load: Part = Part()
    parts: dict[str, Part] = {}
    faults: tuple[Cut | Slow, ...] = ()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, text), Whole)
    return caught.value


def test_a_good_file_becomes_the_type(tmp_path: Path) -> None:
    path = written(tmp_path, "name: x\nfaults:\n  - {action: slow, proxy: redis, by_ms: 3}\n")
    assert load(path, Whole) == Whole("x", faults=(Slow("redis", 3),))


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"),
    [
        ("name: x\nload:\n  fnas: 3\n", 3, "load.fnas", "unknown key", "did you mean 'fans'?"),
        ("name: x\nload:\n  zzz: 3\n", 3, "load.zzz", "unknown key", "known: fans, mode"),
        ("name: x\nload:\n  fans: many\n", 3, "load.fans", "expected a whole number, got text", ""),
        ("name: x\nfaults:\n - {action: slow, proxy: a, by_ms: 3 ms}\n", 3, "faults[0].by_ms", "expected a whole",
         "write a number alone: in milliseconds"),
        ("name: 3\n", 1, "name", "expected text, got a whole number", ""),
        ("load: {}\n", 1, None, "the key 'name' is missing", ""),
        ("name: x\nload:\n  mode: worm\n", 3, "load.mode", "cannot be 'worm'", "did you mean 'warm'?"),
        ("name: x\nparts:\n  a: {fans: 1}\n  b: {fans: 1.5}\n", 4, "parts.b.fans", "expected a whole number", ""),
        ("name: x\nparts:\n  a: {fans: 1}\n  b: {funs: 1}\n", 4, "parts.b.funs", "unknown key", "did you mean 'fans'?"),
        ("name: x\nfaults:\n - {action: cut, proxi: a}\n", 3, "faults[0].proxi", "unknown key", "mean 'proxy'?"),
        ("name: x\nfaults:\n - {action: cut, proxy: a}\n - {action: cat, proxy: b}\n", 4, "faults[1].action",
         "cannot be 'cat'", "did you mean 'cut'?"),
        ("name: x\nload: {fans: 1}\nload: {fans: 2}\n", 3, "load", "key is given twice", "line 2"),
        ("name: x\nload: {fans: .inf}\n", 2, "load.fans", "finite number", ""),
        ("name: [\n", 2, None, "not valid YAML", ""),
        ("name: &a [*a]\n", 1, "name[0]", "alias contains itself", ""),
        ("- a\n", 1, None, "expected a mapping of keys, got a list", ""),
        ("", None, None, "the file is empty", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, text: str, line: int | None, key: str | None, message: str, hint: str
) -> None:
    error = refused(tmp_path, text)
    assert (error.line, error.key) == (line, key), error
    assert message in error.message
    assert hint in error.hint
    assert "\n" not in str(error)
    assert error.file is not None
    assert error.file.endswith("some.yaml")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        load(path, Whole)
    path.write_bytes(b"name: \x01\n")
    with pytest.raises(InputError, match="control characters"):
        load(path, Whole)
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "absent.yaml", Whole)


def test_pipes_and_devices_are_refused_and_not_opened_for_ever(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), Path("/dev/null"), tmp_path):
        with pytest.raises(InputError, match="is no regular file"):
            load(path, Whole)


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    assert "is larger than" in refused(tmp_path, "#" * (BYTES_MAX + 1)).message


@pytest.mark.parametrize(
    "text",
    ["[" * 3000, "name: " + "[" * 3000 + "]" * 3000, "{a: " * 3000, "\n".join("  " * n + "a:" for n in range(200))],
)
def test_a_file_that_is_nested_too_deep_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    error = refused(tmp_path, text)
    assert "nested more than 100 levels" in error.message
    assert error.line


def test_a_hundred_levels_are_read(tmp_path: Path) -> None:
    assert YamlFile(written(tmp_path, "[" * 100 + "]" * 100)).data


def bomb(levels: int, merged: bool = False) -> str:
    """Each level nine times the one below it."""
    lines = ["a0: &a0 {x: 1}"] if merged else ["a0: &a0 [1]"]
    for level in range(1, levels + 1):
        below = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} {{<<: [{below}]}}" if merged else f"a{level}: &a{level} [{below}]")
    return "\n".join(lines)


@pytest.mark.parametrize("merged", [False, True])
def test_an_alias_bomb_is_refused(tmp_path: Path, merged: bool) -> None:
    assert "aliases stand for too much" in refused(tmp_path, bomb(9, merged)).message


def test_aliases_nested_through_each_other_are_refused_when_too_deep(tmp_path: Path) -> None:
    chain = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))])
    assert "aliases stand for too much" in refused(tmp_path, chain).message


def test_a_few_aliases_are_read(tmp_path: Path) -> None:
    assert YamlFile(written(tmp_path, bomb(2))).data


def test_lines_are_known_for_rules_found_later(tmp_path: Path) -> None:
    file = YamlFile(written(tmp_path, "name: x\nfaults:\n - {action: cut, proxy: a}\n - action: cut\n   proxy: b\n"))
    assert file.line_of("faults", 1, "proxy") == 5
    assert file.line_of("faults", 0) == 3
    assert file.line_of("faults", 7, "proxy") == 2
    assert file.error("starts too late", "faults", 1, hint="start earlier").line == 4


def test_keys_are_spelled_as_people_write_them() -> None:
    assert spell(("faults", 2, "start_s")) == "faults[2].start_s"

"""Access codes: the file that the platform has, the codes that people come with, and what is wrong with either."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.scenario import Override
from harness.scenario import load as load_scenario
from harness.scenario.codes import read_codes

SCENARIO = "name: p\ndescription: d\nduration_s: 10\non_sale: {codes: codes.txt}\nload: {fans: 3, spectators: 0%s}\n"


def written(folder: Path, codes: str, more: str = "", shown: str = "") -> Path:
    (folder / "codes.txt").write_text(codes)
    (folder / "shown.txt").write_text(shown)
    file = folder / "presale.yaml"
    file.write_text(SCENARIO % more)
    return file


def test_each_fan_has_a_code_and_one_is_left_for_the_probe(tmp_path: Path) -> None:
    scenario = load_scenario(str(written(tmp_path, "AA\n\n bb \nCC\nDD\n"))).scenario
    assert scenario.on_sale.codes == str(tmp_path / "codes.txt")
    assert read_codes(scenario.on_sale.codes) == ("AA", "BB", "CC", "DD")


def test_people_may_come_with_other_codes_of_the_platforms(tmp_path: Path) -> None:
    file = written(tmp_path, "AA\nBB\nCC\nDD\nEE\nFF", ", codes: shown.txt", "EE\ndd\nCC")
    assert read_codes(load_scenario(str(file)).scenario.load.codes) == ("EE", "DD", "CC")


@pytest.mark.parametrize(
    ("codes", "more", "shown", "said"),
    [
        ("", "", "", "codes.txt has no codes"),
        ("AA\nBB\naa", "", "", "lines 1 and 3 are the same code"),
        ("AA\nB B\n", "", "", "line 2 is no code"),
        ("AA\nINVENTED\n", "", "", "line 2 is no code"),
        ("AA\ninvented\n", "", "", "line 2 is no code"),
        ("AA\nstraße\n", "", "", "line 2 is no code"),
        ("AA\nvıp\n", "", "", "line 2 is no code"),
        ("AA\nBB\nCC", "", "", "codes.txt has codes for 2 of 3 fans and bots"),
        ("AA\nBB\nCC\nDD", ", bots: 1", "", "codes.txt has codes for 3 of 4 fans and bots"),
        ("AA\nBB\nCC\nDD", ", codes: shown.txt", "AA\nXX\nYY", "shown.txt: XX and 1 more are not in codes.txt"),
        ("AA\nBB\nCC\nDD", ", codes: shown.txt", "AA\nBB", "shown.txt has codes for 2 of 3 fans and bots"),
        ("AA\nBB\nCC\nDD", ", codes: shown.txt", "AA\ndd\nBB", "shown.txt: DD is the last code of codes.txt, which is"),
        ("AA\nBB\nCC\nDD", ", codes: none.txt", "", "none.txt is no file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, codes: str, more: str, shown: str, said: str) -> None:
    file = written(tmp_path, codes, more, shown)
    with pytest.raises(InputError) as refused:
        load_scenario(str(file))
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.key in ("on_sale.codes", "load.codes")


def test_the_probes_code_may_be_among_those_that_nobody_comes_with(tmp_path: Path) -> None:
    file = written(tmp_path, "AA\nBB\nCC\nDD", ", codes: codes.txt")
    assert load_scenario(str(file)).scenario.codes_shown == str(tmp_path / "codes.txt")


@pytest.mark.parametrize("key", ["on_sale.codes", "load.codes"])
def test_a_name_that_no_file_system_takes_is_said_in_one_line(tmp_path: Path, key: str) -> None:
    file = written(tmp_path, "AA\nBB\nCC\nDD")
    with pytest.raises(InputError) as refused:
        load_scenario(str(file), [Override(key, "x" * 300, "--set")])
    assert refused.value.key == "--set"


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/nowhere/codes.txt"])
def test_a_device_or_a_folder_is_no_file_of_codes(tmp_path: Path, path: str) -> None:
    file = written(tmp_path, "AA\nBB\nCC\nDD")
    with pytest.raises(InputError, match="is no file"):
        load_scenario(str(file), [Override("on_sale.codes", path, "--set")])


@pytest.mark.parametrize(
    "override",
    [
        Override("load.journey.shared_code_ratio", 0.1, "--set"),
        Override("load.codes", "x.txt", "--set"),
        Override("load", {"bots": 4, "tactics": {"guess_code": 1}}, "--set"),
    ],
)
def test_codes_are_for_a_sale_that_asks_for_them(override: Override) -> None:
    with pytest.raises(InputError, match="nobody needs an access code"):
        load_scenario("smoke", [override])


def test_the_shipped_files_have_codes_for_everybody() -> None:
    for name in ("presale-codes", "selftest"):
        assert load_scenario(name).scenario.on_sale.codes

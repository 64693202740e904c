"""What cannot work is refused by the commands that check a file, with file, line and key, before anything starts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from chaos.specification import experiment as experiments
from harness.cli import app as _commands  # noqa: F401 - registers the commands
from harness.cli.app import app
from harness.errors import InputError
from harness.scenario import FOLDER, Scenario


def refused(*command: str) -> InputError:
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, InputError), (done.exit_code, done.output)
    return done.exception


def shown(*changes: str) -> Scenario:
    words = [word for change in changes for word in ("--set", change)]
    done = CliRunner().invoke(app, ["scenario", "show", "smoke", *words])
    assert done.exit_code == 0, done.exception
    return msgspec.yaml.decode(done.output, type=Scenario)


def line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("payment_time_ms: 20", "venue: hug", "on_sale.venue", "no such venue (known: arena, hall"),
        ("payment_time_ms: 20", "venue: /dev/zero.toml", "on_sale.venue", "No such file"),
        ("payment_time_ms: 20", 'payment_switches: "webhook=late"', "on_sale.payment_switches", "unknown field"),
        ("payment_time_ms: 20", 'payment_switches: "charge=fast"', "on_sale.payment_switches", "Invalid enum value"),
        ("hold_ttl_s: 3", "hold_ttl_s: 300", "on_sale.hold_ttl_s", "the run ends after 11 s"),
        ("hold_ttl_s: 3", "hold_ttl_s: .inf", "on_sale.hold_ttl_s", "expected a finite number"),
        ("fans: 120", "fans: 99999999999999999999999", "load.fans", "expected a whole number <= 10000000"),
        ("fans: 120", "fans: 1.0e+30", "load.fans", "expected a whole number"),
        ("duration_s: 11", "duration_s: 1.0e+300", "duration_s", "expected a number <="),
        ("seed: 7", "seed: 99999999999999999999999", "seed", "expected a whole number <="),
        ("name: smoke", 'name: "a\\ud800"', "name", "U+D800"),
        ("name: smoke", 'name: "a\\0"', "name", "U+0000"),
    ],
)
def test_a_scenario_that_cannot_work(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    text = (FOLDER / "smoke.yaml").read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(old, new, 1))
    error = refused("scenario", "check", str(file))
    assert (error.file, error.line, error.key) == (str(file), line_of(text, old.partition(":")[0]), key)
    assert says in error.message


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        (
            "target_breaker_state",
            "target_braker_state",
            17,
            "expectations[0].metric",
            "no metric 'target_braker",
        ),
        ("dependency: redis", "dependncy: redis", 18, "expectations[0].labels.dependncy", "no label 'dependncy'"),
        ("docs/runbooks.md#redis-down", '"javascript:alert(1)"', 5, "runbook", "a file or an http address"),
        ("docs/runbooks.md#redis-down", '" JAVASCRIPT:alert(1)"', 5, "runbook", "a file or an http address"),
        ("docs/runbooks.md#redis-down", '"//elsewhere/x"', 5, "runbook", "a file or an http address"),
        ("the seat map is served", "the redis breaker opens", 32, "expectations[3].name", "a second expectation"),
    ],
)
def test_an_experiment_that_cannot_work(tmp_path: Path, old: str, new: str, line: int, key: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text((experiments.FOLDER / "redis-down.yaml").read_text().replace(old, new, 1))
    error = refused("experiment", "check", str(file))
    assert (error.file, error.line, error.key) == (str(file), line, key)
    assert says in error.message


def test_a_scenario_is_refused_for_what_its_experiment_looks_at(tmp_path: Path) -> None:
    looks = (experiments.FOLDER / "redis-down.yaml").read_text().replace("target_breaker_state", "target_state")
    (tmp_path / "ours.yaml").write_text(looks)
    file = tmp_path / "mine.yaml"
    file.write_text((FOLDER / "smoke.yaml").read_text().replace("experiment: redis-down", "experiment: ours.yaml"))
    error = refused("scenario", "check", str(file))
    assert (error.file, error.key) == (str(tmp_path / "ours.yaml"), "expectations[0].metric")


@pytest.mark.parametrize("name", experiments.names())
def test_every_shipped_experiment_looks_at_what_is_there(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["experiment", "check", str(experiments.FOLDER / f"{name}.yaml")])
    assert done.exit_code == 0, done.exception


def test_a_weight_of_a_party_size_is_set_beside_the_others() -> None:
    sizes = shown("load.journey.party_sizes.4=0.5").load.journey.party_sizes
    assert sizes == {1: 0.2, 2: 0.5, 3: 0.1, 4: 0.5}


@pytest.mark.parametrize("value", ["[" * 3000, "!!int x", "2001-99-99", ".nan", '"\\ud800"', "*nobody", "&a [*a]"])
def test_an_option_takes_no_value_that_a_file_would_not(value: str) -> None:
    error = refused("scenario", "show", "smoke", "--set", f"load.fans={value}")
    assert error.key == "--set load.fans"
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "given", ["/dev/zero", "x" * 5000, "a\nb", "a\x1b[2Jb", "\u202e", "no.yaml", "/"], ids=lambda given: given[:6]
)
def test_a_name_that_is_no_scenario_is_one_line(given: str) -> None:
    for command in ("show", "check"):
        said = str(refused("scenario", command, given))
        assert said.isprintable()
        assert len(said) < 1500


def test_a_drill_for_a_person_needs_a_terminal() -> None:
    error = refused("drill", "redis-down", "--rehearse-runbook")
    assert "waits for a person, and standard input is no terminal" in str(error)

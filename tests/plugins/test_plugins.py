"""Plugins of other packages: seen in a judged record; refused in one line when they are wrong; named when missing."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from chaos.specification import experiment
from harness.cli.judge import judge_record
from harness.errors import ExitCode, InputError
from harness.plugins import loading
from harness.plugins.loading import find
from harness.record.schema import PluginVersion
from reports import json_document
from tests.builders import RunBuilder
from tests.plugins.site import EXAMPLE as EXAMPLE_FOLDER
from tests.plugins.site import ROOT, Site

EXAMPLE = PluginVersion("example", "gatecrash-example", "1.2")
HEAD = "from gatecrash.plugins import *\n"
INDICATOR = (
    "Indicator(name={name!r}, title='T', unit='s', better='lower', description='', source='requests', to_do='x', "
    "measure={measure})"
)


def indicator(name: str, measure: object = "print") -> str:
    """The source of a plugin with one indicator."""
    return f"{HEAD}PLUGIN = Plugin(indicators=({INDICATOR.format(name=name, measure=measure)},))"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A record that was rehearsed with the example."""
    return RunBuilder(faulty=False).changed(plugins=(EXAMPLE,)).write(tmp_path / "runs").root


def judged(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "verdict.json").read_text())
    return found


def named(found: object, name: str) -> dict[str, object]:
    assert isinstance(found, list)
    [one] = [one for one in found if one["name"] == name]
    return dict(one)


def test_the_example_is_seen_in_a_judged_record(example: Site, run: Path) -> None:
    done = example.gatecrash("report", str(run))
    assert done.returncode in (ExitCode.READY, ExitCode.NOT_READY), done.stderr
    verdict = judged(run)
    single = named(verdict["slis"], "single_seat_ratio")
    assert 0 < float(str(single["value"])) < 1
    assert named(verdict["invariants"], "no_free_order")["status"] == "held"
    [plugin] = verdict["plugins"]  # type: ignore[misc]
    assert (plugin["name"], plugin["package"], plugin["version"]) == ("example", "gatecrash-example", "1.2")
    assert plugin["sources"]
    assert "+ example (gatecrash-example 1.2)" in str(verdict["judged_by"])
    html, markdown = (run / "report.html").read_text(), (run / "report.md").read_text()
    assert '<section id="plugin-example-party_sizes"><h2>Party sizes</h2>' in html
    assert "<dt>plugin example</dt>" in html
    assert "## Party sizes" in markdown
    assert "| Seats | Holds |" in markdown
    assert example.gatecrash("gate", str(run)).returncode == done.returncode


def test_its_invariant_can_be_violated_and_says_what_to_do(example: Site, tmp_path: Path) -> None:
    builder = RunBuilder(faulty=False).changed(plugins=(EXAMPLE,))
    pay = next(
        row for row in builder.tables["operations"] if row["function"] == "pay" and "amount_cents" in str(row["value"])
    )
    value = json.loads(str(pay["value"])) | {"amount_cents": 0}
    pay["value"] = json.dumps(value)
    run = builder.write(tmp_path).root
    done = example.gatecrash("report", str(run))
    assert done.returncode == ExitCode.INVARIANT_VIOLATED, done.stderr
    assert named(judged(run)["invariants"], "no_free_order")["status"] == "violated"
    [finding] = [one for one in judged(run)["findings"] if one["id"] == "invariant/no_free_order"]  # type: ignore[attr-defined]
    assert finding["runbook"] == "stop the sale, and look at the price list"


def test_a_record_without_it_is_judged_the_same_where_it_is_installed(example: Site, tmp_path: Path) -> None:
    run = RunBuilder(faulty=False).write(tmp_path).root
    without = json_document.render(judge_record(run).verdict)
    example.gatecrash("report", str(run))
    assert (run / "verdict.json").read_text() == without


def test_a_record_is_not_judged_where_it_is_missing(run: Path) -> None:
    done = Site().gatecrash("report", str(run))
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stderr.splitlines() == [
        "gatecrash: the record was rehearsed with the plugin example (gatecrash-example 1.2), which is not installed "
        "here (pip install gatecrash-example==1.2)"
    ]


def test_a_scenario_may_name_what_it_declares(example: Site, tmp_path: Path) -> None:
    scenario = tmp_path / "mine.yaml"
    text = (Path("scenarios") / "smoke.yaml").read_text()
    scenario.write_text(text.replace("objectives:\n", "objectives:\n  single_seat_ratio: {target: 0.5, worst: 0.9}\n"))
    assert example.gatecrash("scenario", "check", str(scenario)).returncode == 0
    refused = Site().gatecrash("scenario", "check", str(scenario))
    assert refused.returncode == ExitCode.BAD_INPUT
    assert "objectives.single_seat_ratio: unknown indicator" in refused.stderr


def test_doctor_lists_it(example: Site) -> None:
    [found] = [one for one in json.loads(example.gatecrash("doctor", "--json").stdout) if one["name"] == "plugin"]
    assert found["status"] == "ok"
    assert found["found"] == (
        "example (gatecrash-example 1.2): 1 indicator, 1 invariant, 1 fault kind, 1 report section"
    )


WRONG = {
    "raises": ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero ("),
    "ends the process": ("raise SystemExit(0)", "cannot be loaded: SystemExit: 0 ("),
    "has nothing there": ("", "cannot be loaded: AttributeError: module 'gatecrash_wrong_2' has no attribute 'PLUGIN'"),
    "is a dict": ("PLUGIN = {}", "is a dict, expected a gatecrash.plugins.Plugin"),
    "is the class": (HEAD + "PLUGIN = Plugin", "is a StructMeta, expected a gatecrash.plugins.Plugin"),
    "has a list": (HEAD + "PLUGIN = Plugin(indicators=[])", "has indicators that are a list, expected a tuple"),
    "has something else": (
        HEAD + "PLUGIN = Plugin(invariants=(1,))",
        "has a int among its invariants, expected gatecrash.plugins.Invariant",
    ),
    "has a bad name": (
        indicator("Bad name"),
        "has indicators with the name 'Bad name', expected lower-case letters",
    ),
    "cannot be called": (
        indicator("mine", measure=None),
        "has indicators with a measure of mine that cannot be called",
    ),
    "has a wrong type": (
        indicator("mine").replace("lower", "low"),
        "has indicators with mine declared wrongly: Invalid enum value 'low'",
    ),
    "says not what to do": (
        indicator("mine").replace("'x'", "''"),
        "has indicators with mine without its to_do",
    ),
    "takes our name": (
        indicator("error_ratio"),
        "declares error_ratio, which gatecrash itself has already",
    ),
}  # fmt: skip


def found(site: Site, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """The plugins of the site in this very process, and what is wrong with the others."""
    for folder in site.folders:
        monkeypatch.syspath_prepend(folder)
    points = [point for one in distributions(path=list(map(str, site.folders))) for point in one.entry_points]
    good, wrong = find(points)
    return [one.version.name for one in good], list(map(str, wrong))


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_plugin_is_said_in_one_line(
    wrong: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    source, says = WRONG[case]
    package = f"gatecrash-wrong-{list(WRONG).index(case)}"
    good, [line] = found(wrong(source, package=package), monkeypatch)
    assert good == []
    assert line.startswith(f"the plugin wrong ({package} 0.1) ")
    assert says in line
    assert f"pip uninstall {package}" in line


def test_a_wrong_plugin_ends_a_command_with_2(wrong: Callable[..., Site]) -> None:
    done = wrong("1 / 0").gatecrash("scenario", "check", "smoke")
    assert done.returncode == ExitCode.BAD_INPUT, done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("gatecrash: the plugin wrong (gatecrash-wrong 0.1) cannot be loaded: ZeroDivisionError")


def test_sources_below_a_namespace_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    points = []
    for package, title in (("one", "T"), ("two", "U")):
        folder = tmp_path / "gatecrash_acme" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "plugin.py").write_text(indicator(f"of_{package}"))
        (folder / "words.py").write_text(f"TITLE = {title!r}")
        points.append(EntryPoint(package, f"gatecrash_acme.{package}.plugin:PLUGIN", "gatecrash.plugins"))
    (tmp_path / "gatecrash_acme" / "bare.py").write_text(indicator("of_none"))
    points.append(EntryPoint("bare", "gatecrash_acme.bare:PLUGIN", "gatecrash.plugins"))
    good, wrong = find(points)
    assert not wrong
    nothing = hashlib.sha256().hexdigest()
    digests = {one.version.sources for one in good}
    assert len(digests) == len(points)
    assert not any(nothing.startswith(digest) for digest in digests)


@pytest.mark.parametrize(
    ("name", "declares", "says"),
    [
        ("other", "single_seat_ratio", "declares single_seat_ratio, which the plugin example (gatecrash-example 1.2)"),
        ("example", "mine", "has the name of that of gatecrash-example"),
    ],
)
def test_two_plugins_must_not_share_a_name(
    example: Site, wrong: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, name: str, declares: str, says: str
) -> None:
    source = indicator(declares)
    package = f"gatecrash-{name}-other"
    good, [line] = found(wrong(source, name=name, package=package).beside(example), monkeypatch)
    assert good == ["example"]
    assert says in line


EXPERIMENT = """\
name: shut-redis
hypothesis: Nobody loses a place in line.
component: redis
kind: shut
length_s: 5
faults:
  - {FAULT}
canaries:
  - {probe: redis, proxy: redis, effective: refused}
"""


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("{action: plugin_on_proxy, fault: shut, proxy: redis}", ""),
        ("{action: plugin_on_proxy, fault: shot, proxy: redis}", "faults[0].fault: no plugin has a fault 'shot' (did"),
        ("{action: plugin_on_proxy, fault: shut, proxy: redis, options: {for: 3}}", "faults[0].options"),
        ("{action: plugin_on_process, fault: shut, process: redis}", "write action: plugin_on_proxy"),
    ],
)
def test_an_experiment_may_use_its_fault(
    example: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, says: str
) -> None:
    monkeypatch.syspath_prepend(example.folders[0])
    loading._found.cache_clear()
    path = tmp_path / "shut.yaml"
    canary = "process: redis" if "on_process" in fault else "proxy: redis"
    path.write_text(EXPERIMENT.replace("{FAULT}", fault).replace("proxy: redis, effective", f"{canary}, effective"))
    try:
        if not says:
            assert experiment.load(path).proxies == {"redis"}
            return
        with pytest.raises(InputError) as error:
            experiment.load(path)
        assert says in str(error.value)
    finally:
        loading._found.cache_clear()


def test_a_wrong_plugin_keeps_nobody_from_healing_or_from_finding_out(wrong: Callable[..., Site]) -> None:
    site = wrong("1 / 0")
    assert site.gatecrash("chaos", "status").returncode == 0
    done = site.gatecrash("doctor", "--json")
    [found] = [one for one in json.loads(done.stdout) if one["name"] == "plugin"]
    assert found["status"] == "missing"
    assert "ZeroDivisionError" in found["found"]


def test_a_plugin_that_breaks_while_it_judges_has_found_nothing_out(wrong: Callable[..., Site], tmp_path: Path) -> None:
    source = HEAD + (
        "def fails(*_): raise ValueError('no luck')\n"
        "def exits(*_): raise SystemExit(0)\n"
        "def told(evidence, words):\n"
        "    tally = Tally(evidence, checked=1)\n"
        "    tally.violated(words)\n"
        "    return tally\n"
        f"PLUGIN = Plugin(indicators=({INDICATOR.format(name='mine', measure='fails')},\n"
        f"    {INDICATOR.format(name='exits', measure='exits')},\n"
        f"    {INDICATOR.format(name='halves', measure='lambda seen: Measured(1.0, 1, chr(0xd800))')},\n"
        f"    {INDICATOR.format(name='endless', measure='lambda seen: Measured(1e999, 1)')}),\n"
        "    invariants=tuple(Invariant(name=name, title='N', check='', chance='c', exercised_by=('pay',), to_do='x',\n"
        "        checker=checker) for name, checker in {'never': fails, 'leaves': exits,\n"
        "        'number': lambda seen: told(seen, 5), 'half': lambda seen: told(seen, chr(0xd800))}.items()),\n"
        "    sections=tuple(Section(name=view.__name__, title='T', view=view) for view in (fails, exits)))\n"
    )
    used = PluginVersion("wrong", "gatecrash-wrong", "0.1")
    run = RunBuilder(faulty=False).changed(plugins=(used,)).write(tmp_path / "runs").root
    done = wrong(source).gatecrash("report", str(run))
    assert done.returncode == ExitCode.NO_VERDICT, done.stderr
    verdict = judged(run)
    assert named(verdict["slis"], "mine")["note"] == "the plugin wrong broke: ValueError: no luck"
    assert named(verdict["slis"], "endless")["note"] == "the plugin wrong broke: ValueError: its measure gave inf"
    assert named(verdict["invariants"], "never")["note"] == "the checker crashed: ValueError: no luck"
    assert named(verdict["slis"], "exits")["note"] == "the plugin wrong broke: SystemExit: 0"
    assert named(verdict["slis"], "halves")["note"] == "\\ud800"
    for name, why in {"leaves": "SystemExit: 0", "number": "ValidationError: ", "half": "UnicodeEncodeError: "}.items():
        result = named(verdict["invariants"], name)
        assert (result["status"], str(result["note"]).startswith(f"the checker crashed: {why}")) == ("unknown", True)
    for why in ("ValueError: no luck", "SystemExit: 0"):
        assert f"This section could not be made: {why}" in (run / "report.html").read_text()


PAGE = ROOT / "docs" / "how-to" / "plugins.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_code_on_the_page_is_the_examples() -> None:
    source = (EXAMPLE_FOLDER / "gatecrash_example.py").read_text()
    project = (EXAMPLE_FOLDER / "pyproject.toml").read_text()
    assert [block for block in blocks("python") if block not in source] == []
    assert [block for block in blocks("toml") if block not in project] == []
    assert len(blocks("python")) == 3


def test_the_commands_on_the_page_work(example: Site, tmp_path: Path) -> None:
    """All but the installing, which the example is already, and the drill, which tests/chaos/lease has in small."""
    [experiment_file] = blocks("yaml")
    (tmp_path / "shut-redis.yaml").write_text(experiment_file)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    typed = [shlex.split(line)[1:] for line in lines if line.startswith("gatecrash ")]
    assert typed.pop() == ["drill", "shut-redis.yaml"]
    for words in typed:
        done = example.gatecrash(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

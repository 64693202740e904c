"""The gate: the exit code that the record gives, and its refusal of whatever is not what the record gives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.specification import experiment
from harness.cli.judge import Judged, judge_record, sealed_verdict
from harness.errors import ExitCode, InputError
from harness.judging.gate import Decided, decide, differences
from harness.record import seal_key
from harness.record.collecting import versions
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.seal import seal_verdict
from harness.record.verdict import Decision
from reports import json_document
from tests.builders import OBJECTIVES, RunBuilder

ROOT = Path(__file__).parents[3]
KEY, OTHER_KEY = "the key of this test, long enough", "another key, which is long as well"


def sound() -> RunBuilder:
    """READY with an A."""
    return RunBuilder(faulty=False)


def slow() -> RunBuilder:
    """Every objective out of reach of the sale on paper."""
    builder = sound()
    hopeless = {name: {"target": 1e-9, "worst": 2e-9} for name in OBJECTIVES if name.endswith("_ms")}
    return builder.changed(scenario=builder.run.scenario | {"objectives": hopeless})


def broken() -> RunBuilder:
    """With the faults of the shipped experiments, judged by their expectations."""
    builder = RunBuilder()
    faults = tuple(
        msgspec.structs.replace(fault, definition=msgspec.to_builtins(experiment.load(fault.experiment)))
        for fault in builder.faults.faults
    )
    builder.faults = msgspec.structs.replace(builder.faults, faults=faults)
    return builder


def paired(root: Path) -> RunPaths:
    """A treatment with its control below it, judged."""
    control = sound()
    control.changed(run_id=f"{control.run.run_id}/control").write(root / "control")
    return judged(root, broken().changed(command=("gatecrash", "rehearse", "--paired")))


def judged(root: Path, builder: RunBuilder | None = None) -> RunPaths:
    """Written and judged, without the reports that the gate does not read."""
    paths = (builder or sound()).write(root)
    found: Judged | None = judge_record(root)
    while found is not None:
        found.record.paths.verdict.write_text(json_document.render(found.verdict))
        found = found.control
    return paths


def gate(run: Path, min_grade: str | None = None) -> Decided:
    """As the command does it."""
    return decide(run, lambda path: sealed_verdict(path) or judge_record(path).verdict, min_grade)


def refusal(run: Path) -> str:
    with pytest.raises(InputError) as refused:
        gate(run)
    assert refused.value.exit_code == ExitCode.BAD_INPUT
    assert "\n" not in str(refused.value)
    return str(refused.value)


def edit(paths: RunPaths, old: str, new: str) -> None:
    """As sed does: the first of them."""
    text = paths.verdict.read_text()
    assert old in text
    paths.verdict.write_text(text.replace(old, new, 1))


@pytest.fixture
def sealing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Seal with that key from now on, or with none."""
    monkeypatch.setattr(seal_key, "_key", None)
    return lambda key: monkeypatch.setattr(seal_key, "_key", None if key is None else key.encode())


@pytest.mark.parametrize(
    ("build", "code", "decision"),
    [
        (sound, ExitCode.READY, Decision.READY),
        (slow, ExitCode.NOT_READY, Decision.NOT_READY),
        (lambda: sound().changed(complete=False), ExitCode.NO_VERDICT, Decision.NO_VERDICT),
        (lambda: sound().changed(complete=False, load=None, t0=None), ExitCode.NO_VERDICT, Decision.NO_VERDICT),
        (lambda: sound().double_sell(), ExitCode.INVARIANT_VIOLATED, Decision.NOT_READY),
    ],
    ids=["ready", "slow", "incomplete", "never released", "double sell"],
)
def test_each_kind_of_run_has_its_exit_code(
    tmp_path: Path, build: Callable[[], RunBuilder], code: ExitCode, decision: Decision
) -> None:
    decided = gate(judged(tmp_path, build()).root)
    assert (decided.exit_code, decided.verdict) == (code, decision)
    assert decided.reason
    assert not decided.note


def test_a_minimum_grade_asks_for_more(tmp_path: Path) -> None:
    name = "hold_response_p99_ms"
    first = judge_record(sound().write(tmp_path / "first").root).verdict
    (value,) = (sli.value for sli in first.slis if sli.name == name)
    assert value is not None
    at_85 = {name: {"target": 0.0, "worst": value / 0.15}}
    builder = sound()
    paths = judged(tmp_path / "run", builder.changed(scenario=builder.run.scenario | {"objectives": at_85}))
    for enough in ("B", "C", None):
        assert gate(paths.root, enough).exit_code == ExitCode.READY
    refused = gate(paths.root, "A")
    assert (refused.exit_code, refused.verdict) == (ExitCode.NOT_READY, Decision.NOT_READY)


def test_a_low_minimum_grade_does_not_let_a_violation_pass(tmp_path: Path) -> None:
    assert gate(judged(tmp_path, sound().double_sell()).root, "F").exit_code == ExitCode.INVARIANT_VIOLATED


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "no such run directory" in refusal(tmp_path / "nowhere")


def test_a_run_that_was_never_judged_is_refused(tmp_path: Path) -> None:
    assert "never judged" in refusal(sound().write(tmp_path).root)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"schema": "gatecrash.verdict/1"}',
        b"[" * 100_000,
        b'{"schema": "gatecrash.verdict/1", "run_id": "r", "verdict": "MAYBE\\n::error::x"}',
    ],
)
def test_a_corrupt_verdict_is_refused(tmp_path: Path, content: bytes) -> None:
    paths = judged(tmp_path)
    paths.verdict.write_bytes(content)
    assert "verdict.json" in refusal(paths.root)


def test_a_truncated_verdict_is_refused(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    whole = paths.verdict.read_bytes()
    paths.verdict.write_bytes(whole[: len(whole) // 2])
    assert "is no verdict" in refusal(paths.root)


def test_a_verdict_of_another_schema_is_refused(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    edit(paths, "gatecrash.verdict/1", "gatecrash.verdict/9")
    assert "schema" in refusal(paths.root)


@pytest.mark.parametrize(
    ("build", "old", "new", "key"),
    [
        (slow, '"verdict": "NOT READY"', '"verdict": "READY"', "verdict"),
        (slow, '"score": ', '"score": 9', "score"),
        (sound, '"grade": "A"', '"grade": "B"', "grade"),
        (sound, '"reason": "', '"reason": "Not really. ', "reason"),
        (sound, '"status": "held"', '"status": "violated"', "invariants[0].status"),
        (lambda: sound().double_sell(), '"status": "violated"', '"status": "held"', "invariants[0].status"),
        (sound, '"validity": "VALID"', '"validity": "DEGRADED"', "generator.validity"),
        (sound, '"value": ', '"value": 1', "slis[0].value"),
        (sound, '"requests_sent": ', '"requests_sent": 1', "load.requests_sent"),
        (sound, '"run_id": "', '"run_id": "other-', "run_id"),
        (sound, '"paired": null', '"paired": null, "extra": "\\u001b[2J\\n::error::x"', "extra"),
        (sound, '"schema"', '"verdict": "NOT READY", "schema"', "a key stands in it twice"),
    ],
)
def test_an_edited_verdict_is_refused_by_the_first_field_that_differs(
    tmp_path: Path, build: Callable[[], RunBuilder], old: str, new: str, key: str
) -> None:
    paths = judged(tmp_path, build())
    edit(paths, old, new)
    said = refusal(paths.root)
    assert said.startswith(str(paths.verdict))
    assert key in said
    assert "\x1b" not in said


def test_a_seal_that_was_made_up_without_a_key_is_an_edit_too(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    edit(paths, '"seal": ""', f'"seal": "hmac-sha256:{"0" * 64}"')
    assert "seal: says" in refusal(paths.root)


def test_an_edited_verdict_of_a_paired_run_is_refused(tmp_path: Path) -> None:
    paths = paired(tmp_path / "run")
    verdict = judge_record(paths.root).verdict
    assert verdict.paired is not None
    assert gate(paths.root).verdict is verdict.verdict
    edit(paths, '"control_grade": "A"', '"control_grade": "F"')
    assert "paired.control_grade" in refusal(paths.root)


def test_a_control_that_changed_since_is_refused(tmp_path: Path) -> None:
    paths = paired(tmp_path / "run")
    RunBuilder(faulty=False, seed=2).changed(run_id="another/control").write(paths.control.root)
    assert "control/run.json: is the control of another run (it is 'another/control')" in refusal(paths.root)
    shutil.rmtree(paths.control.root)
    assert "verdict.json" in refusal(paths.root)


def test_the_same_record_gives_the_same_bytes_in_any_process_and_place(tmp_path: Path) -> None:
    """Also of a paired run, even when its control is broken."""
    here = tmp_path / "here"
    builders = {
        "sound": sound(),
        "broken": broken(),
        "double-sell": sound().double_sell(),
        "incomplete": sound().changed(complete=False),
    }
    for name, builder in builders.items():
        builder.write(here / name)
    paired(here / "paired")
    without_control = paired(here / "without-control").control
    without_control.faults.unlink()
    without_control.run.write_text("{")
    runs = [*builders, "paired", "without-control"]
    shutil.copytree(here, tmp_path / "else" / "where")
    one, other = judged_by_another(here, runs, "1"), judged_by_another(tmp_path / "else" / "where", runs, "2")
    assert one == other
    assert len(set(one)) == len(runs)


def judged_by_another(folder: Path, runs: list[str], hash_seed: str) -> list[bytes]:
    """The verdicts that another process gives on the runs in that folder."""
    subprocess.run(
        [sys.executable, "-c", _JUDGES, *runs],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
        cwd=folder,
        check=True,
    )
    return [RunPaths(root=folder / run).verdict.read_bytes() for run in runs]


_JUDGES = """
import sys
from pathlib import Path
from harness.cli.judge import judge_record
from reports import json_document
for run in map(Path, sys.argv[1:]):
    (run / "verdict.json").write_text(json_document.render(judge_record(run).verdict))
"""


@pytest.mark.parametrize("judged_by", ["0.0.1 0123456789ab", "", "\\u001b[2J\\n::error::x"])
@pytest.mark.parametrize(
    ("old", "new"),
    [('"verdict": "NOT READY"', '"verdict": "READY"'), ('"score": ', '"score": 9'), ('"value": ', '"value": 1')],
)
def test_who_names_another_judge_in_an_edited_verdict_is_refused_all_the_same(
    tmp_path: Path, judged_by: str, old: str, new: str
) -> None:
    paths = judged_by_name(tmp_path, judged_by)
    edit(paths, old, new)
    said = refusal(paths.root)
    assert "but the record gives" in said
    assert "`gatecrash report` judges the record with this one" in said
    assert said.isprintable()


@pytest.mark.parametrize("judged_by", ["0.0.1 0123456789ab", "", "\\u001b[2J\\n::error::x"])
def test_a_verdict_of_another_gatecrash_counts_where_the_record_gives_the_same(tmp_path: Path, judged_by: str) -> None:
    paths = judged_by_name(tmp_path, judged_by)
    edit(paths, '"examinations": ', '"a_field_of_another_version": ')
    decided = gate(paths.root)
    assert (decided.exit_code, decided.verdict) == (ExitCode.NOT_READY, Decision.NOT_READY)
    assert "the record gives the same" in decided.note
    assert decided.note.isprintable()


def judged_by_name(root: Path, judged_by: str) -> RunPaths:
    paths = judged(root, slow())
    edit(paths, f'"judged_by": "{versions.judging()}"', f'"judged_by": "{judged_by}"')
    return paths


def test_a_verdict_without_a_judge_passes_as_no_verdict_alone(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    edit(paths, f'"judged_by": "{versions.judging()}"', '"judged_by": ""')
    assert gate(paths.root).exit_code == ExitCode.READY
    edit(paths, '"verdict": "READY"', '"verdict": "NO VERDICT"')
    decided = gate(paths.root)
    assert (decided.exit_code, decided.verdict) == (ExitCode.NO_VERDICT, Decision.NO_VERDICT)
    assert "gatecrash report" in decided.note


def test_every_file_of_the_record_is_guarded(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    guarded = [paths.run, paths.faults, *sorted(paths.root.glob("*.parquet"))]
    assert len(guarded) > 5
    for file in guarded:
        whole = file.read_bytes()
        for changed in (whole + b" ", whole[: len(whole) // 2]):
            file.write_bytes(changed)
            assert file.name in refusal(paths.root)
        file.unlink()
        assert file.name in refusal(paths.root)
        file.write_bytes(whole)
    assert gate(paths.root).exit_code == ExitCode.READY


def test_with_a_key_an_edited_verdict_of_another_gatecrash_is_refused_as_well(
    tmp_path: Path, sealing: Callable[[str | None], None]
) -> None:
    sealing(KEY)
    paths = judged(tmp_path, slow())
    assert '"seal": "hmac-sha256:' in paths.verdict.read_text()
    assert gate(paths.root).exit_code == ExitCode.NOT_READY
    edit(paths, f'"judged_by": "{versions.judging()}"', '"judged_by": "0.0.1"')
    assert "it was sealed with another key, or has changed since the verdict was given" in refusal(paths.root)


def test_a_key_proves_the_verdict_on_an_unchanged_record(tmp_path: Path, sealing: Callable[[str | None], None]) -> None:
    plain = judged(tmp_path / "plain")
    assert sealed_verdict(plain.root) is None
    sealing(KEY)
    paths = judged(tmp_path / "keyed", slow())
    assert sealed_verdict(paths.root) == judge_record(paths.root).verdict
    paths.control.root.mkdir()
    assert sealed_verdict(paths.root) is None  # its control, too, would have to be judged


def test_a_key_proves_no_verdict_that_was_edited_or_is_of_another_gatecrash_or_record(
    tmp_path: Path, sealing: Callable[[str | None], None]
) -> None:
    sealing(KEY)
    paths = judged(tmp_path / "run")
    good = paths.verdict.read_text()
    verdict = judge_record(paths.root).verdict
    for other in (
        msgspec.structs.replace(verdict, judged_by="0.0.1"),
        msgspec.structs.replace(verdict, record={**verdict.record, "run.json": "0" * 64}),
    ):
        paths.verdict.write_text(json_document.render(seal_verdict(other)))
        assert sealed_verdict(paths.root) is None
    for edited in (good.replace('"grade": "A"', '"grade": "B"'), good[:-40], "[]", "{}"):
        paths.verdict.write_text(edited)
        assert sealed_verdict(paths.root) is None
    paths.verdict.unlink()
    assert sealed_verdict(paths.root) is None


def test_a_run_that_was_sealed_with_a_key_needs_that_key(tmp_path: Path, sealing: Callable[[str | None], None]) -> None:
    sealing(KEY)
    keyed = judged(tmp_path / "keyed")
    sealing(None)
    assert "run.json: was sealed with a key, and there is none here" in refusal(keyed.root)
    plain = judged(tmp_path / "plain")
    sealing(OTHER_KEY)
    assert "run.json: does not fit GATECRASH_SEAL_KEY" in refusal(keyed.root)
    assert "run.json: was sealed without a key" in refusal(plain.root)
    sealing(KEY)
    assert gate(keyed.root).exit_code == ExitCode.READY
    shutil.copy(plain.verdict, keyed.verdict)
    assert "verdict.json: was sealed without a key" in refusal(keyed.root)


def test_compare_judges_the_records_itself(tmp_path: Path) -> None:
    one, two = judged(tmp_path / "one"), judged(tmp_path / "two", sound().changed(complete=False))
    shutil.copy(one.verdict, two.verdict)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "compare", str(one.root), str(two.root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.NO_VERDICT
    assert "the run gave no verdict" in done.stderr


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_document_does_not_differ_from_itself(document: object) -> None:
    assert not list(differences(document, document))


@given(JSON, JSON)
def test_two_documents_differ_both_ways_or_not_at_all(one: object, other: object) -> None:
    assert {found.at for found in differences(one, other)} == {found.at for found in differences(other, one)}
    if not list(differences(one, other)):
        assert msgspec.json.encode(one) == msgspec.json.encode(other) or "." in repr(one)


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (0.1 + 0.2, 0.3, False),
        (99.999, 100.0, True),
        (0.0, -0.0, False),
        (1, 1.0, True),
        (1, True, True),
        (1e300, 1e301, True),
        ({"a": None}, {}, True),
        ([1], [1, 2], True),
    ],
)
def test_only_the_last_digits_of_a_float_may_differ(one: object, other: object, differ: bool) -> None:
    assert bool(list(differences(one, other))) == differ


@pytest.mark.parametrize("name", ["verdict.json", "run.json", "faults.json", "requests.parquet"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    paths = judged(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    assert f"{name}: is no file" in refusal(paths.root)


def test_a_record_in_place_of_a_control_is_refused(tmp_path: Path) -> None:
    """Of the same seed and scenario, under the same name, of a run without a control, and the run itself."""
    one, other = paired(tmp_path / "one"), paired(tmp_path / "other")
    shutil.rmtree(one.control.root)
    control = RunBuilder(faulty=False).changed(run_id=Record.open(other.control.root).run.run_id, processes=())
    control.write(one.control.root)
    assert "control/run.json: is the control of another run" in refusal(one.root)
    shutil.rmtree(one.control.root)
    shutil.copytree(other.control.root, one.control.root)  # the very same bytes: the same control
    assert gate(one.root).run_id == gate(other.root).run_id
    alone = judged(tmp_path / "alone")
    shutil.copytree(other.control.root, alone.control.root)
    assert "control/run.json: is the control of another run" in refusal(alone.root)
    itself = judged(tmp_path / "itself")
    itself.control.root.symlink_to(".")
    assert "control/run.json: is the control of another run" in refusal(itself.root)


def compared(*runs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "compare", *map(str, runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_compare_shows_both_verdicts(tmp_path: Path) -> None:
    done = compared(judged(tmp_path / "one").root, judged(tmp_path / "two", slow()).root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["base: READY, grade A", "run: NOT READY, grade F"]


def test_runs_of_different_scenarios_are_not_compared(tmp_path: Path) -> None:
    one, two = judged(tmp_path / "one"), judged(tmp_path / "two", sound().changed(scenario_name="smoke"))
    done = compared(one.root, two.root)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "a run of playoff-presale and" in done.stderr
    assert "one of smoke" in done.stderr

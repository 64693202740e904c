from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import reports
from harness.record.reader import Record
from harness.record.verdict import Verdict
from tests.builders import RunBuilder
from tests.reports import verdicts


def test_it_writes_five_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    paths = RunBuilder(fans=12).write(tmp_path)
    before = set(tmp_path.iterdir())
    record = Record.open(tmp_path)
    reports.write(record, verdicts.ready(record))
    written = {paths.verdict, paths.report_html, paths.report_markdown, paths.comment, paths.junit}
    assert set(tmp_path.iterdir()) - before == written


def test_the_verdict_reads_back_as_it_was(tmp_path: Path) -> None:
    record = Record.open(RunBuilder(fans=12).write(tmp_path).root)
    verdict = verdicts.not_ready(record)
    reports.write(record, verdict)
    assert msgspec.json.decode(record.paths.verdict.read_bytes(), type=Verdict) == verdict


def test_writing_again_replaces_every_file_with_the_same_bytes(tmp_path: Path) -> None:
    record = Record.open(RunBuilder(fans=12).write(tmp_path).root)
    paths = record.paths
    files = (paths.verdict, paths.report_html, paths.report_markdown, paths.comment, paths.junit)
    reports.write(record, verdicts.no_verdict(record))
    first = [file.read_bytes() for file in files]
    reports.write(Record.open(tmp_path), verdicts.no_verdict(record))
    assert [file.read_bytes() for file in files] == first


def test_ready_is_not_left_beside_reports_that_could_not_be_written(tmp_path: Path) -> None:
    record = Record.open(RunBuilder(fans=12).write(tmp_path).root)
    paths = record.paths
    paths.report_html.mkdir()
    with pytest.raises(IsADirectoryError):
        reports.write(record, verdicts.ready(record))
    assert not paths.verdict.exists()
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(IsADirectoryError):
        reports.write(record, verdicts.no_verdict(record))
    assert '"NO VERDICT"' in paths.verdict.read_text()
    assert paths.junit.exists()
    assert paths.report_markdown.exists()

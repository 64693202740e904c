"""verdict.json is what the published schema says."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from harness.record.reader import Record
from reports.json_document import render
from tests.reference.pages import SCHEMAS
from tests.reports.verdicts import bare, no_verdict, not_ready, ready


def test_the_published_schema_takes_every_verdict(record: Record) -> None:
    schema = Draft202012Validator(json.loads((SCHEMAS / "verdict.schema.json").read_text(encoding="utf-8")))
    for verdict in (ready(record), not_ready(record), no_verdict(record), bare(record)):
        document = json.loads(render(verdict))
        assert [str(error.message) for error in schema.iter_errors(document)] == []
        assert list(schema.iter_errors(document | {"verdict": "MAYBE"})) != []

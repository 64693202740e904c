"""The sections that plugins add to the report, and which plugins judged."""

from __future__ import annotations

from harness import plugins
from harness.plugins import guarded
from harness.record.reader import Record
from harness.record.schema import Struct
from harness.record.verdict import Verdict


class PluginSection(Struct, frozen=True):
    """One section of a plugin: a paragraph and a table. `anchor` is its id in the page."""

    anchor: str
    title: str
    plugin: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sections(record: Record, verdict: Verdict) -> tuple[PluginSection, ...]:
    """Those of the plugins that judged, in the order of their names."""
    judged = {one.name for one in verdict.plugins}
    found = []
    for one in plugins.installed():
        if one.version.name not in judged:
            continue
        for section in one.plugin.sections:
            made = guarded.table(section, record, verdict)
            found.append(
                PluginSection(
                    anchor=f"plugin-{one.version.name}-{section.name}",
                    title=section.title,
                    plugin=one.version.in_words,
                    text=made.text,
                    columns=made.columns,
                    rows=made.rows,
                )
            )
    return tuple(found)

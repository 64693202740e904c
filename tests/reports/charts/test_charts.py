from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as Tree

import numpy as np
import pytest

from harness.record.reader import Record
from reports import charts
from reports.charts.svg import COLOURS
from reports.view import frames
from reports.view.charts import timeline
from reports.view.charts.timeline import Timeline, Window


@pytest.fixture(scope="module")
def data(record: Record) -> Timeline:
    found = timeline.timeline(record, frames.read(record))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def chart(data: Timeline) -> charts.Chart:
    return charts.timeline_chart(data)


def test_both_sizes_are_whole_svg_elements_that_scale(chart: charts.Chart) -> None:
    for svg in (chart.wide, chart.narrow):
        root = Tree.fromstring(svg)
        assert root.tag == "svg"
        assert "width" not in root.attrib
        assert root.attrib["viewBox"]
    assert not set(re.findall(r' id="([^"]*)"', chart.wide)) & set(re.findall(r' id="([^"]*)"', chart.narrow))


def test_they_are_read_out_with_title_and_description(chart: charts.Chart) -> None:
    root = Tree.fromstring(chart.wide)
    title, description = root.find("title"), root.find("desc")
    assert title is not None
    assert description is not None
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
    assert "redis-down from 6.1 to 10.2 s" in (description.text or "")


def test_text_stays_text_and_every_fault_and_t0_are_labelled(chart: charts.Chart) -> None:
    words = [element.text for element in Tree.fromstring(chart.wide).iter("text")]
    for word in ("redis-down", "payment-latency-8s", "T0", "Requests per second", "Circuit breakers"):
        assert word in words


def test_colours_are_left_to_the_page(chart: charts.Chart) -> None:
    drawn = chart.wide + chart.narrow
    assert not any(stand_in in drawn for stand_in in COLOURS.values())
    assert not re.search(r"#[0-9a-f]{6}\b", drawn)
    assert "var(--fault)" in drawn


def test_no_date_no_version_no_foreign_reference(chart: charts.Chart) -> None:
    assert not re.search(r"https?:|[Mm]atplotlib v|<metadata|<style|xlink", chart.wide)


@pytest.mark.parametrize("count", [1, 12])
def test_fault_labels_never_touch(count: int, data: Timeline) -> None:
    starts = np.linspace(0, 38, count)
    crowded = tuple(Window(f"experiment-number-{n}", float(s), float(s) + 3) for n, s in enumerate(starts))
    fields = {name: getattr(data, name) for name in Timeline.__slots__}
    drawn = charts.timeline_chart(Timeline(**{**fields, "faults": crowded}))
    for svg in (drawn.wide, drawn.narrow):
        rows: dict[str, list[tuple[float, float]]] = {}
        for element in Tree.fromstring(svg).iter("text"):
            if (element.text or "").startswith("experiment-"):
                width, x = 6.2 * len(element.text or ""), float(element.attrib["x"])
                left = x - width if "end" in element.attrib["style"] else x
                rows.setdefault(element.attrib["y"], []).append((left, left + width))
        assert sum(len(row) for row in rows.values()) == count
        for row in rows.values():
            row.sort()
            assert all(right <= left for (_, right), (left, _) in itertools.pairwise(row))


def test_a_timeline_of_requests_alone_is_drawn(data: Timeline) -> None:
    nothing = np.array([])
    fields = {name: getattr(data, name) for name in Timeline.__slots__}
    bare = {"stages": {}, "stages_t_s": nothing, "queue_t_s": nothing, "queue_depth": nothing}
    drawn = charts.timeline_chart(Timeline(**{**fields, **bare, "lanes": (), "breakers": (), "faults": ()}))
    assert "no faults" in drawn.wide


def test_the_release_is_drawn_with_its_window(record: Record) -> None:
    data = timeline.release(record, frames.read(record))
    assert data is not None
    description = Tree.fromstring(charts.release_chart(data).wide).find("desc")
    assert description is not None
    assert description.text is not None
    assert description.text.startswith("60 first sends from")
    assert "0.5 s, is shaded" in description.text

"""Reads counters and gauges out of the scraped metrics, and handles restarts and sources without answers."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_CPU: Final = "process_cpu_seconds_total"
_SERIES: Final = ["name", "source", "labels"]
_GROWN: Final = ["t_s", "source", "labels", "grown"]
_SILENT: Final = 1.5
"""A source that is not scraped for so many of its usual periods did not answer meanwhile."""
_TURN: Final = 0.5
"""In so many of its usual periods every other source is scraped too."""
_PERIOD_S: Final = 0.5


def samples(metrics: pa.Table, name: str) -> pd.DataFrame:
    """The finite samples of one metric in the order of time: t_s, source, labels, value."""
    wanted = metrics.filter(pc.and_(pc.equal(metrics["name"], name), pc.is_finite(metrics["value"])))
    frame: pd.DataFrame = wanted.sort_by("t_s").select(["t_s", "source", "labels", "value"]).to_pandas()
    return frame


def increments(metrics: pa.Table, name: str) -> pd.DataFrame:
    """How much each series of a counter had grown at each scrape since the scrape before: t_s, source, labels, grown.

    A source was restarted when one of its series of this name, or its CPU time, falls: then all its series of this name
    count from zero, as all buckets of a histogram do. A series that is new in a source that was already scraped counts
    from zero too. The first value of a source does not count, because it grew before the first scrape.
    """
    rows = metrics.filter(pc.is_in(metrics["name"], value_set=pa.array([name, _CPU])))
    rows = rows.filter(pc.is_finite(rows["value"]))
    frame: pd.DataFrame = rows.select(["t_s", *_SERIES, "value"]).to_pandas().sort_values("t_s", kind="stable")
    if not (frame["name"] == name).any():
        return frame.assign(grown=0.0)[_GROWN].head(0)
    frame["before"] = frame.groupby(_SERIES)["value"].shift()
    frame["life"] = _lives(frame)
    frame = frame[frame["name"] == name].copy()
    same_life = frame.groupby(_SERIES)["life"].shift() == frame["life"]
    first_s = frame["source"].map(_first_scrapes(metrics))
    zero = np.where(frame["before"].notna() | (frame["t_s"] > first_s), 0.0, frame["value"])
    frame["grown"] = frame["value"] - frame["before"].where(same_life, zero)
    return frame[_GROWN]


def growth(metrics: pa.Table, name: str) -> pd.Series:
    """Labels → how much the counter grew during the run, summed over sources."""
    found = increments(metrics, name)
    total: pd.Series = found.groupby("labels")["grown"].sum()
    return total


def labels(text: str) -> dict[str, str]:
    """The labels of a series, of "dependency=redis,outcome=ok"."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def totals(metrics: pa.Table, name: str) -> pd.DataFrame:
    """A gauge summed over its sources, at each moment at which one of them was scraped: t_s, value.

    A source keeps its value until its next scrape. A source that stops answering loses its value after half a period:
    what it counted is gone, or another source counts it now. A source that answers again counts from half a period
    later, when the other sources have reported what they no longer have.
    """
    found = samples(metrics, name)
    if found.empty:
        return pd.DataFrame({"t_s": [], "value": []})
    series = [own for _, own in found.groupby(["source", "labels"])]
    gaps_s = np.concatenate([np.diff(own["t_s"].to_numpy()) for own in series])
    usual_s = float(np.median(gaps_s[gaps_s > 0])) if (gaps_s > 0).any() else _PERIOD_S
    moments = np.unique(found["t_s"].to_numpy())
    value = np.sum([_held(own, moments, usual_s) for own in series], axis=0)
    return pd.DataFrame({"t_s": moments, "value": value})


def _lives(frame: pd.DataFrame) -> pd.Series:
    """How often the source of each row had been restarted before that row."""
    fell = frame["value"] < frame["before"]
    by_scrape = fell.groupby([frame["source"], frame["t_s"]]).any()
    lives = by_scrape.groupby(level="source").cumsum()
    keys = pd.MultiIndex.from_arrays([frame["source"], frame["t_s"]])
    return pd.Series(lives.reindex(keys).to_numpy(), index=frame.index)


def _first_scrapes(metrics: pa.Table) -> pd.Series:
    scrapes = metrics.select(["source", "t_s"]).to_pandas()
    first: pd.Series = scrapes.groupby("source")["t_s"].min()
    return first


def _held(own: pd.DataFrame, moments: np.ndarray, usual_s: float) -> np.ndarray:
    """The value of one series at each of these moments; 0 while its source does not answer."""
    t_s, value = own["t_s"].to_numpy(), own["value"].to_numpy()
    gaps_s = np.diff(t_s, append=np.inf)
    silent = gaps_s > _SILENT * usual_s
    until_s = t_s + np.where(silent, _TURN * usual_s, gaps_s)
    from_s = t_s + np.where(np.roll(silent, 1) & (t_s > t_s[0]), _TURN * usual_s, 0.0)
    at = np.searchsorted(t_s, moments, side="right") - 1
    heard = (at >= 0) & (moments >= from_s[at]) & ((moments < until_s[at]) | (moments == t_s[at]))
    return np.where(heard, value[at], 0.0)

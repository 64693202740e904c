"""The order in which each follower heard the feed, and who heard of a change first: as plainly defined."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from harness.record.feed_walk import COLUMNS, walk
from harness.record.schema import EVENTS, FEED_STRETCHES

Heard = tuple[str, int, int]
"""Follower, sequence number, and when it was heard in s."""
heard = st.lists(
    st.tuples(st.sampled_from(["spectator-1", "spectator-2", "spectator-3"]), st.integers(1, 4), st.integers(0, 5)),
    min_size=1,
    max_size=30,
)


def events(rows: list[Heard]) -> pa.Table:
    """A change of a seat for each; its user number tells one row from another."""
    columns = {
        "worker": [0] * len(rows), "user": range(len(rows)), "kind": ["spectator"] * len(rows),
        "actor": [actor for actor, _, _ in rows], "event": ["seat"] * len(rows),
        "t_s": [float(t_s) for _, _, t_s in rows], "t_sent_s": [None] * len(rows), "epoch": ["e"] * len(rows),
        "seq": [seq for _, seq, _ in rows], "value": [1] * len(rows), "key": ["A-1"] * len(rows),
    }  # fmt: skip
    return pa.table({name: columns[name] for name in COLUMNS}, schema=pa.schema([EVENTS.field(n) for n in COLUMNS]))


def in_pieces(rows: pa.Table) -> pa.Table:
    """As a file gives them: in several batches, each with its texts encoded for itself."""
    texts = {"kind", "actor", "event", "epoch", "key"}
    parts = []
    for batch in rows.to_batches(max_chunksize=4):
        columns = [batch[name].dictionary_encode() if name in texts else batch[name] for name in COLUMNS]
        parts.append(pa.RecordBatch.from_arrays(columns, names=list(COLUMNS)))
    return pa.Table.from_batches(parts)


@given(heard)
def test_rows_go_by_follower_and_time_and_rows_of_one_instant_stay_in_their_order(rows: list[Heard]) -> None:
    walked = walk(in_pieces(events(rows)), FEED_STRETCHES.empty_table())
    followers = list(dict.fromkeys(actor for actor, _, _ in rows))
    expected = sorted(range(len(rows)), key=lambda at: (followers.index(rows[at][0]), rows[at][2]))
    assert walked.rows["user"].to_pylist() == expected
    assert walked.rows["actor"].to_pylist() == [rows[at][0] for at in expected]
    assert walked.seq.tolist() == [rows[at][1] for at in expected]


@given(heard)
def test_a_change_was_first_heard_of_in_its_earliest_row(rows: list[Heard]) -> None:
    walked = walk(events(rows), FEED_STRETCHES.empty_table())
    seqs, t_s = walked.seq.tolist(), walked.t_s.tolist()
    earliest = [min((t_s[at], at) for at in range(len(rows)) if seqs[at] == seq)[1] for seq in seqs]
    assert walked.first_of.tolist() == earliest

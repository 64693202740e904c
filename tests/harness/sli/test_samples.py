import numpy as np
import pyarrow as pa

from harness.record.schema import REQUESTS
from harness.sli.samples import Samples, share_of, users_of


def test_a_stretch_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    samples = Samples(np.arange(4), np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0, 6.0, 7.0, 8.0]), 0.5)
    assert samples.between(1.0, 3.0).value.tolist() == [6.0, 7.0]
    assert samples.between(9.0, 10.0).statistic is None


def test_a_share_is_of_its_base_where_it_has_one() -> None:
    attempts = Samples(np.arange(3), np.zeros(3), np.ones(3), base=np.array([1.0, 0.0, 1.0]))
    assert attempts.statistic == 1.5
    assert share_of([("a", 0.0, True), ("b", 0.0, False)]).measured.value == 0.5
    assert share_of([]).measured.value is None


def test_a_fan_and_a_spectator_of_one_number_are_two_people_and_summed_requests_are_nobodys() -> None:
    rows = [("fan", 3), ("spectator", 3), ("fan", 3), ("fan", -1), ("fan", -1)]
    blank = {field.name: None for field in REQUESTS}
    table = pa.Table.from_pylist([{**blank, "kind": kind, "user": user} for kind, user in rows], schema=REQUESTS)
    who = users_of(table).tolist()
    assert who[0] == who[2]
    assert len(set(who)) == 4

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetrt.benchmarks.promises.tiling import largest_differences, needed_overlap
from unetrt.sizes import ReceptiveField, SizeRule


def network(before, after, multiple):
    field = ReceptiveField((before, before), (after, after), (multiple, multiple))
    return SimpleNamespace(receptive_field=field, sizes=SizeRule(multiple))


@given(
    before=st.integers(0, 300),
    after=st.integers(0, 300),
    multiple=st.sampled_from([1, 2, 8, 32]),
    tile=st.integers(1, 60),
)
def test_the_overlap_covers_the_receptive_field(before, after, multiple, tile):
    tile *= multiple
    overlap = needed_overlap(network(before, after, multiple), tile)
    if overlap is None:
        assert tile - before - after < multiple
        return
    step = int(tile * (1 - overlap))  # as MONAI rounds it
    assert step % multiple == 0
    assert 0 < step <= tile - before - after < step + multiple


def test_a_difference_is_found_in_whichever_rows_it_is(tmp_path):
    one = np.zeros((600, 3, 2))
    other = one.copy()
    other[599, 2] = (0.25, 0.5)
    np.save(tmp_path / "one.npy", one)
    np.save(tmp_path / "other.npy", other)
    found = largest_differences(tmp_path / "one.npy", tmp_path / "other.npy")
    assert found == {"largest_difference": 0.5, "labels_that_differ": 1}
    other[0, 0, 0] = np.nan
    np.save(tmp_path / "other.npy", other)
    found = largest_differences(tmp_path / "one.npy", tmp_path / "other.npy")
    assert np.isnan(found["largest_difference"])

import numpy as np
import pytest

from unetrt.data import load_dataset
from unetrt.data.brain import slab_of

PARTS = [slab_of(offset) for offset in range(240)]


@pytest.mark.parametrize("seen", ["train", "val"])
def test_no_slice_is_judged_whose_neighbour_was_learnt_from(seen):
    tested = {k for k, part in enumerate(PARTS) if part == "test"}
    others = {k for k, part in enumerate(PARTS) if part == seen}
    assert tested
    assert others
    assert min(abs(a - b) for a in tested for b in others) >= 3


def test_the_brain_has_three_classes_in_every_part():
    pytest.importorskip("nilearn")
    data = load_dataset("brain")
    assert data.classes == ("background", "grey", "white")
    for part in (data.train, data.val, data.test):
        assert {0, 1, 2} <= set(np.unique(np.concatenate([s.label.ravel() for s in part])))
        assert all(s.image.shape == (233, 197, 1) and s.image.dtype == np.uint8 for s in part)
    assert len(data.train) > 3 * len(data.test) > 0

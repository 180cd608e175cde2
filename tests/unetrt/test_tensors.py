import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.errors import BadInput, ShapeError
from unetrt.tensors import ShapeRange, TensorSpec

SPEC = TensorSpec("image", "float32", ("batch", "height", "width", 3))


def test_a_free_axis_takes_any_size_and_a_fixed_one_only_its_own():
    SPEC.check((2, 5, 7, 3), "float32")
    with pytest.raises(ShapeError, match=r"'image' does not fit: got float32\[2, 5, 7, 1\]"):
        SPEC.check((2, 5, 7, 1), "float32")


@pytest.mark.parametrize(("shape", "dtype"), [((5, 7, 3), "float32"), ((1, 5, 7, 3), "uint8")])
def test_another_rank_or_type_does_not_fit(shape, dtype):
    with pytest.raises(ShapeError, match="expected float32"):
        SPEC.check(shape, dtype)


def test_a_spec_survives_json():
    assert TensorSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


@given(st.tuples(*[st.integers(1, 4096)] * 3).map(sorted))
def test_a_range_reads_what_it_prints(sizes):
    sizes = ShapeRange(*sizes)
    assert ShapeRange.parse(str(sizes)) == sizes
    assert sizes.opt in sizes
    assert sizes.max + 1 not in sizes


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:3:4", "-1", "0", "4:2:8", "1:9:8"])
def test_a_range_out_of_order_or_unreadable_is_bad_input(text):
    with pytest.raises(BadInput, match="MIN:OPT:MAX"):
        ShapeRange.parse(text)

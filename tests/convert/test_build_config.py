"""Choose the shapes an engine is built for: fixed axes stay, free ones follow the spec."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.artifacts import OnnxModel
from unetrt.convert.build_config import input_profiles
from unetrt.convert.engine_spec import EngineSpec
from unetrt.errors import ShapeError
from unetrt.sizes import SizeRule
from unetrt.tensors import ShapeRange, TensorSpec

STEPS = st.lists(st.integers(1, 40), min_size=3, max_size=3).map(sorted)


def model(*shapes, layout="NHWC", multiple=1):
    inputs = tuple(TensorSpec(f"in{k}", "float32", s, layout) for k, s in enumerate(shapes))
    return OnnxModel(Path("m.onnx"), "", inputs=inputs, sizes=SizeRule(multiple))


@given(STEPS, STEPS, STEPS, st.sampled_from([1, 8, 32]), st.sampled_from(["NHWC", "NCHW"]))
def test_free_axes_follow_the_spec_and_fixed_ones_stay(batch, height, width, multiple, layout):
    sides = [ShapeRange(*(step * multiple for step in steps)) for steps in (height, width)]
    spec = EngineSpec(batch=ShapeRange(*batch), height=sides[0], width=sides[1])
    free = dict(zip("NHWC", ("batch", "height", "width", 3), strict=True))
    own = model(
        tuple(free[axis] for axis in layout), ("batch", 7), layout=layout, multiple=multiple
    )
    profiles = input_profiles(own, spec)
    for end, count, high, wide in zip(("min", "opt", "max"), batch, height, width, strict=True):
        size = {"N": count, "H": high * multiple, "W": wide * multiple, "C": 3}
        assert getattr(profiles["in0"], end) == tuple(size[axis] for axis in layout)
        assert getattr(profiles["in1"], end) == (count, 7)


@given(st.integers(1, 999), st.sampled_from([2, 16, 32]))
def test_a_size_that_cannot_be_halved_is_refused_with_the_next_that_can(size, multiple):
    own = model(("batch", "height", "width", 1), multiple=multiple)
    spec = EngineSpec(width=ShapeRange(size, size, size))
    if size % multiple == 0:
        assert input_profiles(own, spec)["in0"].opt[2] == size
        return
    with pytest.raises(ShapeError) as refusal:
        input_profiles(own, spec)
    better = int(str(refusal.value).rpartition("works is ")[2].rstrip("."))
    assert 0 < better - size < multiple
    assert better % multiple == 0


def test_without_a_spec_what_is_free_has_a_range_and_what_is_fixed_has_none():
    own = model((2, "height", 96, 1), ("batch", 5))
    assert input_profiles(own, EngineSpec()) == {
        "in0": ((2, 256, 96, 1), (2, 256, 96, 1), (2, 512, 96, 1)),
        "in1": ((1, 5), (1, 5), (8, 5)),
    }


def test_a_fixed_second_image_does_not_forbid_sizes_for_the_first():
    own = model(("batch", "height", "width", 1), ("batch", 64, 64, 3))
    profiles = input_profiles(own, EngineSpec(height=ShapeRange(128, 128, 128)))
    assert profiles["in0"].opt == (1, 128, 256, 1)
    assert profiles["in1"].opt == (1, 64, 64, 3)


def test_a_fixed_batch_is_refused_another():
    with pytest.raises(ShapeError, match="has a fixed batch: got 1:4:8, expected 2"):
        input_profiles(model((2, 64, 64, 1)), EngineSpec(batch=ShapeRange(1, 4, 8)))


def test_a_height_of_a_model_that_takes_no_image_is_refused():
    with pytest.raises(ShapeError, match="nothing that has a height.*leave out `height`"):
        input_profiles(model(("batch", 5)), EngineSpec(height=ShapeRange(8, 8, 8)))


def test_the_default_size_is_checked_too():
    with pytest.raises(ShapeError, match="height: got 256, expected a multiple of 96"):
        input_profiles(model(("batch", "height", "width", 1), multiple=96), EngineSpec())

"""What a session runs at before its first image."""

from pathlib import Path

import pytest

from unetrt.artifacts import Engine, OnnxModel
from unetrt.runtime.session import warmup_inputs
from unetrt.tensors import ShapeProfile, TensorSpec


def model(*shape, layout="NHWC", dtype="float32"):
    image = TensorSpec("image", dtype, shape, layout)
    return OnnxModel(Path("m.onnx"), "", inputs=(image,))


def shapes(artifact, sizes=None):
    return [[x.shape for x in feeds.values()] for feeds in warmup_inputs(artifact, sizes)]


def test_a_fixed_size_is_run_once():
    assert shapes(model("batch", 64, 96, 1)) == [[(1, 64, 96, 1)]]
    assert shapes(model(2, 64, 96, 1)) == [[(2, 64, 96, 1)]]


def test_free_sides_are_not_guessed():
    assert shapes(model("batch", "height", "width", 1)) == []
    assert shapes(model("batch", "height", 64, 1)) == []


@pytest.mark.parametrize(("layout", "axes"), [("NHWC", (1, 2)), ("NCHW", (2, 3))])
def test_sizes_asked_for_are_each_run(layout, axes):
    shape = ["batch", 3, 3, 3]
    for axis, name in zip(axes, ("height", "width"), strict=True):
        shape[axis] = name
    found = shapes(model(*shape, layout=layout), ((32, 48), (64, 64)))
    assert [tuple(one[0][axis] for axis in axes) for one in found] == [(32, 48), (64, 64)]


def test_none_asked_for_is_none():
    assert shapes(model("batch", 64, 96, 1), ()) == []


def test_an_engine_is_run_at_what_it_was_tuned_for():
    image = TensorSpec("image", "uint8", ("batch", "height", "width", 1))
    profile = ShapeProfile((1, 32, 32, 1), (4, 64, 64, 1), (8, 128, 128, 1))
    engine = Engine(Path("m.engine"), "", inputs=(image,), profiles={"image": profile})
    assert shapes(engine) == [[(4, 64, 64, 1)]]
    [feeds] = warmup_inputs(engine, None)
    assert feeds["image"].dtype == "uint8"

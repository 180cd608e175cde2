"""The self-test sees an artifact that no longer predicts what the Keras model did."""

from dataclasses import replace

import numpy as np
import pytest

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput, CheckFailed
from unetrt.golden import GoldenOutput
from unetrt.parity import run_self_test
from unetrt.runtime import SessionSpec, open_session
from unetrt.tensors import ShapeProfile

pytestmark = pytest.mark.tf


@pytest.fixture
def model(road):
    return OnnxModel.load(road / "model.fp32.onnx")


def changed(model, change):
    """Return the model with another golden output, as if it had been made of other weights."""
    own = model.golden
    outputs = {
        name: GoldenOutput(a.rank, a.step, type(a.values).pack(change(a.values.array)))
        for name, a in own.outputs.items()
    }
    return replace(model, golden=replace(own, outputs=outputs))


def test_the_golden_image_travels_to_every_precision_and_engine(road, model):
    assert model.golden is not None
    assert OnnxModel.load(road / "model.fp16.onnx").golden == model.golden
    for precision in ("fp32", "fp16"):
        assert Engine.load(road / f"model.{precision}.engine").golden == model.golden


@pytest.mark.parametrize("off", [3e-4, 0.3])
def test_an_answer_that_is_off_fails_and_says_by_how_much(model, off):
    worse = changed(model, lambda y: y - np.float32(off) * (np.arange(len(y)) == 5)[:, np.newaxis])
    words = (
        rf"on its golden sample: got a value off by {off:.2g}.*, expected at most 0.0001 in fp32"
    )
    with open_session(worse) as session, pytest.raises(CheckFailed, match=words):
        session.self_test()
    with pytest.raises(CheckFailed, match="a value off by"):
        open_session(worse, SessionSpec(self_test=True))


def test_many_small_differences_fail_where_one_would_not(model):
    def made(off):
        answer = next(iter(model.golden.outputs.values())).values.array
        whole = np.zeros((1, 16, 16, answer.shape[1]), np.float32)
        whole.reshape(-1, answer.shape[1])[:] = answer + off
        return lambda _feeds: {model.outputs[0].name: whole}

    assert run_self_test(model, made(0), "float32").max_abs_diff == 0
    with pytest.raises(CheckFailed, match="values off by a mean of 5e-05, expected at most 1e-05"):
        run_self_test(model, made(5e-5), "float32")
    assert run_self_test(model, made(5e-5), "bfloat16").precision == "bf16"
    with pytest.raises(CheckFailed, match="a value off by nan"):
        run_self_test(model, made(np.nan), "float32")


def test_an_artifact_without_a_golden_image_says_so(model):
    bare = replace(model, golden=None)
    with open_session(bare) as session, pytest.raises(BadInput, match="carries no golden sample"):
        session.self_test()


def test_another_size_of_answer_fails(model):
    name = model.outputs[0].name
    with pytest.raises(CheckFailed, match="gives another shape of"):
        run_self_test(model, lambda _: {name: np.zeros((1, 8, 8, 2), np.float32)}, "float32")


def test_an_engine_of_a_fixed_batch_gets_as_many_pictures(model):
    seen = []

    def run(feeds):
        seen.append(feeds[model.inputs[0].name].shape)
        raise CheckFailed("seen")

    engine = replace(
        Engine(model.path, "", inputs=model.inputs, outputs=model.outputs, golden=model.golden),
        profiles={model.inputs[0].name: ShapeProfile(*[(4, 16, 16, 1)] * 3)},
    )
    with pytest.raises(CheckFailed):
        run_self_test(engine, run, "float32")
    assert seen == [(4, 16, 16, 1)]


def test_labels_are_held_to_where_keras_is_sure(model):
    labels = replace(model.outputs[0], name="labels", dtype="uint8", shape=("b", "h", "w"))
    judged = replace(model, outputs=(labels,))
    best = next(iter(model.golden.outputs.values())).values.array.argmax(axis=1)
    right = best.reshape(1, 16, 16).astype(np.uint8)
    found = run_self_test(judged, lambda _: {"labels": right}, "float32")
    assert (found.max_abs_diff, found.labels_that_differ) == (None, 0)
    with pytest.raises(CheckFailed, match="a share of other labels of 1"):
        run_self_test(judged, lambda _: {"labels": 1 - right}, "float32")

"""Find the first layer whose values differ."""

import numpy as np
import pytest

from tests.convert.graphs import make, model_of, rand
from unetrt.convert.divergence import first_divergence
from unetrt.convert.onnx_file import write_onnx

WEIGHTS = {f"w{k}": rand(3, 3, 1, 1, seed=k) for k in range(4)}


def network(path, constants, *, extra=False, reorder=False):
    """Write four convolutions in two branches, and what adds them."""
    branches = [
        [make("Conv", ["x", "w0"], ["a"], name="a"), make("Conv", ["a", "w1"], ["b"], name="b")],
        [make("Conv", ["x", "w2"], ["c"], name="c"), make("Conv", ["c", "w3"], ["d"], name="d")],
    ]
    nodes = [node for branch in (branches[::-1] if reorder else branches) for node in branch]
    nodes.append(make("Add", ["b", "d"], ["s" if extra else "y"], name="sum"))
    if extra:
        nodes.append(make("Identity", ["s"], ["y"], name="more"))
    shapes = {"x": ["batch", 3, 4, 4]}, {"y": ["batch", 3, 4, 4]}
    return write_onnx(model_of(nodes, *shapes, constants), path, precision="fp32")


@pytest.fixture
def right(tmp_path):
    return network(tmp_path / "right.onnx", WEIGHTS)


@pytest.mark.parametrize("wrong", range(4))
@pytest.mark.parametrize("reorder", [False, True])
def test_the_layer_whose_weights_changed_is_named(right, tmp_path, wrong, reorder):
    changed = WEIGHTS | {f"w{wrong}": WEIGHTS[f"w{wrong}"] * 1.1}
    other = network(tmp_path / "wrong.onnx", changed, reorder=reorder)
    x = {"x": rand(1, 3, 4, 4)}
    found = first_divergence(right, other, (x, x), 1e-3)
    assert found.layer == "abcd"[wrong]
    assert 0.01 < found.relative < 0.2


def test_files_that_agree_have_no_difference(right, tmp_path):
    x = {"x": rand(1, 3, 4, 4)}
    other = network(tmp_path / "same.onnx", WEIGHTS, extra=True, reorder=True)
    assert first_divergence(right, other, (x, x), 1e-6) is None


def test_not_a_number_is_a_difference(right, tmp_path):
    broken = WEIGHTS | {"w1": np.full((3, 3, 1, 1), np.nan, np.float32)}
    x = {"x": rand(1, 3, 4, 4)}
    found = first_divergence(right, network(tmp_path / "nan.onnx", broken), (x, x), 0.5)
    assert (found.layer, found.before) == ("b", 1)
    assert np.isnan(found.relative)


def test_files_of_two_layouts_are_compared_all_the_same(tmp_path):
    nodes = [make("Conv", ["x", "w0"], ["a"], name="a"), make("Conv", ["a", "w1"], ["y"], name="b")]
    shapes = {"x": ["batch", 3, 4, 5]}, {"y": ["batch", 3, 4, 5]}
    first = {name: WEIGHTS[name] for name in ("w0", "w1")}
    nchw = write_onnx(
        model_of(nodes, *shapes, first),
        tmp_path / "nchw.onnx",
        precision="fp32",
        layout="NCHW",
    )
    turned = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w0"], ["n"], name="n"),
        make("Transpose", ["n"], ["a"], perm=[0, 2, 3, 1]),
        make("Transpose", ["a"], ["u"], perm=[0, 3, 1, 2]),
        make("Conv", ["u", "w1"], ["y"], name="b"),
    ]
    for factor, expected in ((1, None), (1.2, "y")):
        weights = first | {"w1": first["w1"] * np.float32(factor)}
        model = model_of(turned, {"x": ["batch", 4, 5, 3]}, shapes[1], weights)
        nhwc = write_onnx(model, tmp_path / "nhwc.onnx", precision="fp32")
        x = rand(1, 3, 4, 5)
        feeds = {"x": x}, {"x": x.transpose(0, 2, 3, 1)}
        found = first_divergence(nchw, nhwc, feeds, 1e-3)
        assert (found.layer if found else None) == expected

"""The torch peer, in this interpreter or in the one that UNETRT_TORCH_PYTHON names."""

from itertools import pairwise

import numpy as np
import pytest

from tests.benchmarks.tiny_unet import an_image, tiny_unet
from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.agreement import Reference, check_agreement
from unetrt.benchmarks.peers.peers import open_peer, peers_available, peers_named
from unetrt.errors import WorkerFailed
from unetrt.tensors import TensorSpec

onnx = pytest.importorskip("onnx")

for _peer in ("torch-eager-fp32", "onnxruntime"):
    _obstacle = peers_available()[_peer]
    if _obstacle is not None:
        pytest.skip(f"{_peer} {_obstacle}", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_unet(tmp_path_factory.mktemp("torch") / "tiny.onnx")


def agreement(name, model, image):
    """Compare a peer with bare ONNX Runtime; return how it agrees, a few runs, and its info."""
    with open_peer(*peers_named(["onnxruntime"]), model, image) as bare:
        reference = Reference(bare.name, bare.predict())
    with open_peer(*peers_named([name]), model, image) as peer:
        return check_agreement(peer, reference), peer.time_runs(2), peer.info


def refusal(model, image):
    with (
        pytest.raises(WorkerFailed) as error,
        open_peer(*peers_named(["torch-eager-fp32"]), model, image),
    ):
        pytest.fail("opened")
    return str(error.value)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_torch_runs_the_same_network_and_weights(model, precision):
    _, runs, info = agreement(f"torch-eager-{precision}", model, an_image())
    assert len(runs.host_ns) == 2
    assert info["configuration"]["memory_format"] == "channels_last"


def test_torch_names_the_node_that_it_does_not_know(tmp_path):
    strange = tiny_unet(tmp_path / "strange.onnx", extra_node="Softsign")
    assert "got a node Softsign" in refusal(strange, an_image())


@pytest.mark.slow
def test_torch_compiles_it(model):
    _, runs, _ = agreement("torch-compile-fp32", model, an_image())
    assert runs.host_ns


def graph_of(path, nodes, constants, output):
    """Nodes between the tensors x [1, 3, 8, 8] and y."""
    shapes = {"x": (1, 3, 8, 8), "y": output}
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    weights = [onnx.numpy_helper.from_array(np.array(v), name) for name, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "one", ends[:1], ends[1:], weights)
    opset = [onnx.helper.make_opsetid("", 17)]
    proto = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    specs = [(TensorSpec(name, "float32", shape),) for name, shape in shapes.items()]
    return OnnxModel.write(
        path,
        lambda file: file.write_bytes(proto.SerializeToString()),
        inputs=specs[0],
        outputs=specs[1],
    )


def rand(*shape):
    return np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape).astype(np.float32)


def node(kind, *inputs, **attributes):
    return lambda x, y: onnx.helper.make_node(kind, [x, *inputs], [y], **attributes)


CHAIN = [
    node("Conv", "k2", strides=[2, 2], pads=[0, 0, 1, 1]),  # TensorFlow's "same" of a stride
    node("BatchNormalization", "scale", "bias", "mean", "variance", epsilon=1e-3),
    node("LeakyRelu", alpha=0.3),
    node("Resize", "", "twice", mode="nearest", coordinate_transformation_mode="asymmetric"),
    node("Conv", "k3", pads=[2, 2, 2, 2], dilations=[2, 2]),
    node("Conv", "k3", auto_pad="SAME_UPPER"),
    node("Resize", "", "twice", mode="linear", coordinate_transformation_mode="half_pixel"),
    node("Mul", "scale_c"),
    node("Sub", "mean_c"),
    node("Div", "scale_c"),
    node("Add", "mean_c"),
    node("Cast", to=onnx.TensorProto.FLOAT16),
    node("Cast", to=onnx.TensorProto.FLOAT),
    node("Slice", "starts", "ends", "axes"),
    node("ConvTranspose", "kt", strides=[2, 2], pads=[1, 0, 0, 1], group=3),
    node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    node("Clip", "low", "high"),
    node("Sigmoid"),
    node("Identity"),
]
CONSTANTS = {
    "k2": rand(3, 3, 3, 3) / 9, "k3": rand(3, 3, 3, 3) / 20, "kt": rand(3, 1, 3, 3) / 3,
    "scale": rand(3), "bias": -rand(3), "mean": rand(3), "variance": rand(3),
    "twice": np.float32([1, 1, 2, 2]), "scale_c": rand(3, 1, 1), "mean_c": rand(1, 3, 1, 1),
    "starts": np.int64([1, 2]), "ends": np.int64([-1, 14]), "axes": np.int64([2, 3]),
    "low": np.float32(-3), "high": np.float32(3),
}  # fmt: skip


def test_the_operators_give_what_onnx_runtime_gives(tmp_path):
    names = ["x", *(f"t{k}" for k in range(1, len(CHAIN))), "y"]
    nodes = [make(*ends) for make, ends in zip(CHAIN, pairwise(names), strict=True)]
    model = graph_of(tmp_path / "chain.onnx", nodes, CONSTANTS, (1, 3, 14, 12))
    image = np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)
    found, _, _ = agreement("torch-eager-fp32", model, image)
    # A value that float16 rounds the other way is a thousandth off before the last layers.
    assert found.max_abs_diff <= 1e-4


@pytest.mark.parametrize(
    ("make", "constants", "shape", "words"),
    [
        (node("Conv", "k", auto_pad="SAME_LOWER"), {"k": rand(3, 3, 3, 3)}, (1, 3, 8, 8),
         "cannot pad like this: got SAME_LOWER"),
        (node("MaxPool", kernel_shape=[2, 2], pads=[0, 0, 1, 1]), {}, (1, 3, 8, 8),
         "cannot pad like this"),
        (node("Resize", "", "s", mode="cubic"), {"s": np.float32([1, 1, 2, 2])}, (1, 3, 16, 16),
         "cannot resize like this: got cubic"),
        (node("Slice", "a", "b", "c"),
         {"a": np.int64([0]), "b": np.int64([4]), "c": np.int64([-1])}, (1, 3, 8, 4),
         "cannot slice like this"),
    ],
)  # fmt: skip
def test_attributes_that_it_does_not_know_are_refused_not_guessed(
    tmp_path, make, constants, shape, words
):
    model = graph_of(tmp_path / "one.onnx", [make("x", "y")], constants, shape)
    image = np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)
    assert words in refusal(model, image)

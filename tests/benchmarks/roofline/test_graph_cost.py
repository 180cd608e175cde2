import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.benchmarks.roofline.graph_cost import block_of, graph_cost
from unetrt.errors import ArtifactError, UnsupportedModel
from unetrt.tensors import TensorSpec


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("filled"), {}

    def fill(name, precision="fp32"):
        key = f"{name}.{precision}"
        if key not in made:
            made[key] = fill_skeleton(name, folder / f"{key}.onnx", precision=precision)
        return made[key]

    return fill


def cost_of(model, side, batch=1):
    return graph_cost(model, batch=batch, height=side, width=side)


def write(path, nodes, inputs, outputs, weights=()):
    """Write a graph of float32 tensors; `weights` are names and shapes."""
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends.items()]
             for ends in (inputs, outputs)]  # fmt: skip
    held = [helper.make_tensor(n, TensorProto.FLOAT, s, bytes(4 * _size(s)), raw=True)
            for n, s in dict(weights).items()]  # fmt: skip
    graph = helper.make_graph(nodes, "g", *infos, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    specs = tuple(TensorSpec(n, "float32", tuple(s), "NCHW") for n, s in inputs.items())
    return OnnxModel(path, "", inputs=specs)


def _size(shape):
    size = 1
    for side in shape:
        size *= side
    return size


@pytest.mark.parametrize(
    ("name", "side", "gmac"),
    [("article", 512, 62.9), ("article", 256, 15.7), ("paper", 572, 150.43)],
)
def test_the_known_multiplications(filled, name, side, gmac):
    assert cost_of(filled(name), side).flops / 2e9 == pytest.approx(gmac, abs=0.03)


def test_operations_grow_with_the_batch_and_weights_are_read_once(filled):
    one, four = (cost_of(filled("small"), 64, batch) for batch in (1, 4))
    assert four.flops == 4 * one.flops
    assert one.nbytes < four.nbytes < 4 * one.nbytes


def test_half_the_bits_are_half_the_bytes_of_a_convolution(filled):
    full, half = (
        {layer.name: layer for layer in cost_of(filled("small", p), 64).layers}
        for p in ("fp32", "fp16")
    )
    layer = half["up2/conv1"]
    assert (layer.computes_in, full["up2/conv1"].computes_in) == ("float16", "float32")
    assert 2 * layer.nbytes == full["up2/conv1"].nbytes
    assert layer.flops == full["up2/conv1"].flops


def test_a_quantised_convolution_reads_and_writes_bytes(filled):
    layers = {layer.name: layer for layer in cost_of(filled("small", "int8"), 64).layers}
    conv = layers["down2/conv1"]
    assert conv.computes_in == "int8"
    assert conv.fused == ("Relu", "QuantizeLinear")
    assert conv.bytes_written == 16 * 32 * 32
    assert 8 * 32 * 32 + 16 * 8 * 9 <= conv.bytes_read < 8 * 32 * 32 + 16 * 8 * 9 + 100


def test_the_channels_are_the_image_s(tmp_path, filled):
    assert cost_of(filled("small"), 64).channels == 1
    wide = fill_skeleton("small", tmp_path / "m.onnx", channels=3)
    assert cost_of(wide, 64).channels == 3


def test_layers_belong_to_keras_blocks(filled):
    cost = cost_of(filled("article"), 64)
    blocks = [f"down{k}" for k in range(1, 6)] + ["bottleneck"]
    blocks += [f"up{k}" for k in range(5, 0, -1)] + ["logits", "probabilities"]
    assert list(dict.fromkeys(layer.block for layer in cost.layers)) == blocks
    assert [layer.name for layer in cost.layers if layer.block == "down2"] == [
        "down2/conv1", "down2/conv2", "down2/pool",
    ]  # fmt: skip
    assert sum(bool(layer.flops) for layer in cost.layers) == 28
    assert block_of("logits") == "logits"


def test_what_follows_a_convolution_alone_is_free(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="b/conv", pads=[1] * 4),
        helper.make_node("Add", ["c", "bias"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    shape = ["batch", 3, "height", "width"]
    weights = {"w": (8, 3, 3, 3), "bias": (8, 1, 1)}
    model = write(tmp_path / "m.onnx", nodes, {"x": shape}, {"y": None}, weights)
    (layer,) = graph_cost(model, batch=2, height=5, width=7).layers
    assert layer.flops == 2 * 2 * 5 * 7 * 8 * 27
    assert layer.bytes_read == 4 * (2 * 3 * 35 + 8 * 27 + 8)
    assert layer.bytes_written == 4 * 2 * 8 * 35
    assert layer.fused == ("Add", "Relu")


def test_a_value_that_two_read_is_written(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Add", ["r", "c"], ["y"], name="add"),
    ]
    model = write(tmp_path / "m.onnx", nodes, {"x": [1, 4, 8, 8]}, {"y": None}, {"w": (4, 4, 1, 1)})
    layers = graph_cost(model, batch=1, height=8, width=8).layers
    assert [(layer.name, layer.fused) for layer in layers] == [("conv", ()), ("relu", ("Add",))]
    size = 4 * 4 * 64
    assert [layer.nbytes for layer in layers] == [2 * size + 64, 3 * size]


def test_an_output_of_the_network_is_written_though_one_reads_it(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    ends = {"x": [1, 4, 8, 8]}, {"c": None, "y": None}
    model = write(tmp_path / "m.onnx", nodes, *ends, {"w": (4, 4, 1, 1)})
    assert len(graph_cost(model, batch=1, height=8, width=8).layers) == 2


def test_moving_an_axis_of_one_is_free_and_others_are_not(tmp_path):
    nodes = [helper.make_node("Transpose", ["x"], ["y"], name="t", perm=[0, 3, 1, 2])]
    for channels, count in ((1, 0), (2, 1)):
        model = write(tmp_path / "m.onnx", nodes, {"x": [1, 8, 8, channels]}, {"y": None})
        assert len(graph_cost(model, batch=1, height=8, width=8).layers) == count


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_convolutions_count_each_multiplication(tmp_path_factory, data):
    small = st.integers(1, 4)
    groups, per_in, per_out, kernel = (data.draw(small) for _ in range(4))
    stride, side, batch = data.draw(small), data.draw(st.integers(4, 9)), data.draw(small)
    transposed = data.draw(st.booleans())
    given_, made = groups * per_in, groups * per_out
    shape = (given_, per_out) if transposed else (made, per_in)
    node = helper.make_node(
        "ConvTranspose" if transposed else "Conv", ["x", "w"], ["y"], name="c",
        group=groups, strides=[stride] * 2,
    )  # fmt: skip
    model = write(
        tmp_path_factory.mktemp("c") / "m.onnx", [node], {"x": [batch, given_, side, side]},
        {"y": None}, {"w": (*shape, kernel, kernel)},
    )  # fmt: skip
    (layer,) = graph_cost(model, batch=1, height=1, width=1).layers
    positions = side if transposed else (side - kernel) // stride + 1
    assert layer.flops == 2 * batch * positions**2 * kernel**2 * groups * per_in * per_out


@pytest.mark.parametrize(("op", "weight", "extra"), [("MatMul", (6, 5), {}),
                                                     ("Gemm", (5, 6), {"transB": 1})])  # fmt: skip
def test_a_product_counts_each_multiplication(tmp_path, op, weight, extra):
    node = helper.make_node(op, ["x", "w"], ["y"], name="p", **extra)
    model = write(tmp_path / "m.onnx", [node], {"x": [3, 6]}, {"y": None}, {"w": weight})
    (layer,) = graph_cost(model, batch=1, height=1, width=1).layers
    assert (layer.flops, layer.nbytes) == (2 * 3 * 6 * 5, 4 * (18 + 30 + 15))


def test_a_shape_that_depends_on_the_data_is_refused(tmp_path):
    nodes = [helper.make_node("NonZero", ["x"], ["y"], name="n")]
    model = write(tmp_path / "m.onnx", nodes, {"x": [2, 2]}, {})
    model_ = onnx.load(model.path)
    model_.graph.output.append(helper.make_tensor_value_info("y", TensorProto.INT64, [2, "n"]))
    onnx.save(model_, model.path)
    with pytest.raises(UnsupportedModel, match="1 of unknown shape, such as y"):
        graph_cost(model, batch=1, height=2, width=2)


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(ArtifactError, match="expected ONNX"):
        graph_cost(OnnxModel(tmp_path / "m.onnx", ""), batch=1, height=2, width=2)

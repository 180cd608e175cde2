"""ONNX graphs small enough to read: in memory, in files with a sidecar's fields, and run."""

from collections import Counter

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from unetrt.artifacts import OnnxModel
from unetrt.files import sha256_of
from unetrt.runtime import open_session
from unetrt.tensors import TensorSpec

make = helper.make_node


def rand(*shape, seed=0):
    """Return the same normal float32 values for a shape and seed, in whatever order tests run."""
    return np.random.default_rng(sum(shape) + seed).normal(size=shape).astype(np.float32)


def proto_of(nodes, inputs, outputs, constants=None, *, opset=17):
    """Return a ModelProto; a tensor is given by its shape, if float32, or (NumPy type, shape)."""

    def tensors(given):
        for name, spec in given.items():
            dtype, shape = spec if _is_typed(spec) else ("float32", spec)
            element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            yield helper.make_tensor_value_info(name, element, shape)

    graph = helper.make_graph(
        nodes,
        "test",
        list(tensors(inputs)),
        list(tensors(outputs)),
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 21 else 10)


def _is_typed(spec):
    return len(spec) == 2 and isinstance(spec[1], (list, tuple))


def model_of(nodes, inputs, outputs, constants=None, *, opset=17):
    """Return a checked graph in memory."""
    proto = proto_of(nodes, inputs, outputs, constants, opset=opset)
    checker.check_model(proto, full_check=True)
    return ir.from_proto(proto)


def operators(model):
    return [node.op_type for node in model.graph]


def run(model, feeds):
    """Return the first output of a graph in memory, run by ONNX Runtime."""
    proto = ir.to_proto(model)
    checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def save(path, nodes, inputs, outputs, constants=None, *, opset=17, external=False, **fields):
    """Write a file and return it as its sidecar, which is not written, would describe it."""
    proto = proto_of(nodes, inputs, outputs, constants, opset=opset)
    if all(node.domain == "" for node in nodes):
        checker.check_model(proto)
    data = path.with_name(f"{path.name}.data")
    onnx.save(proto, path, save_as_external_data=external, location=data.name, size_threshold=0)
    known = {data.name: sha256_of(data)} if external else {}
    layout = fields.pop("layout", "NCHW")
    specs = {"inputs": tuple(_spec(value, layout) for value in proto.graph.input)}
    specs["outputs"] = tuple(_spec(value, layout) for value in proto.graph.output)
    fields = {"external_data": known} | specs | fields
    return OnnxModel(path, sha256_of(path), **fields)


def _spec(value, layout):
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(side.dim_param or side.dim_value for side in tensor.shape.dim)
    return TensorSpec(value.name, dtype, shape, layout)


ELEMENTS = {
    "fp32": (TensorProto.FLOAT, np.float32),
    "fp16": (TensorProto.FLOAT16, np.float16),
    "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
}
IMAGE = ("batch", 3, "height", "width")


def chain(path, *kinds, input_dtype="float32", **fields):
    """Save a chain of convolutions conv0, conv1, ... of `kinds`: "fp32", "fp16 up", "int8", ...

    "up" is a transposed convolution. Between two kinds there is a cast; "int8" is quantised.
    """
    nodes, constants = [make("Cast", ["image"], ["x"], name="pixels", to=TensorProto.FLOAT)], {}
    last, current = "x", TensorProto.FLOAT
    for index, words in enumerate(kinds):
        kind, _, up = words.partition(" ")
        element, dtype = ELEMENTS["fp32" if kind == "int8" else kind]
        if element != current:
            nodes.append(make("Cast", [last], [f"cast{index}"], name=f"cast{index}", to=element))
            last, current = f"cast{index}", element
        weight = f"w{index}"
        constants[weight] = rand(3, 3, 2, 2).astype(dtype)
        if kind == "int8":
            last, weight = _quantized(nodes, constants, last, weight, index)
        operator, name = ("ConvTranspose" if up else "Conv"), f"conv{index}"
        strides = {"strides": [2, 2]} if up else {"auto_pad": "SAME_UPPER"}
        nodes.append(make(operator, [last, weight], [name], name=name, **strides))
        last = name
    nodes.append(make("Cast", [last], ["y"], name="result", to=TensorProto.FLOAT))
    inputs, outputs = {"image": (input_dtype, IMAGE)}, {"y": IMAGE}
    return save(path, nodes, inputs, outputs, constants, **fields)


def _quantized(nodes, constants, last, weight, index):
    constants[weight] = (constants[weight] * 40).clip(-127, 127).astype(np.int8)
    constants |= {f"s{index}": np.float32(0.1), f"z{index}": np.int8(0)}
    how = [f"s{index}", f"z{index}"]
    nodes += [
        make("QuantizeLinear", [last, *how], [f"q{index}"], name=f"q{index}"),
        make("DequantizeLinear", [f"q{index}", *how], [f"dq{index}"], name=f"dq{index}"),
        make("DequantizeLinear", [weight, *how], [f"dw{index}"], name=f"dw{index}"),
    ]
    return f"dq{index}", f"dw{index}"


def pixels(*shape):
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


def agree(model, made, feeds, atol=1e-5):
    """Assert that ONNX Runtime puts out what Keras does."""
    import keras

    x = feeds if len(feeds) > 1 else next(iter(feeds.values()))
    expected = keras.tree.flatten(model(x))
    with open_session(made.path) as session:
        outputs = session.run(feeds)
    for tensor, wanted in zip(made.outputs, expected, strict=True):
        np.testing.assert_allclose(outputs[tensor.name], np.asarray(wanted), rtol=1e-4, atol=atol)


def nodes_of(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def classifier():
    """Return a graph NHWC in and out: one convolution to three classes, and their softmax."""
    nodes = [
        make("Transpose", ["x"], ["t"], name="first", perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w"], ["l"], name="conv"),
        make("Transpose", ["l"], ["p"], name="last", perm=[0, 2, 3, 1]),
        make("Softmax", ["p"], ["y"], name="softmax", axis=-1),
    ]
    shapes = {"x": ["batch", "height", "width", 2]}, {"y": ["batch", "height", "width", 3]}
    return model_of(nodes, *shapes, {"w": rand(3, 2, 1, 1)})


def small_unet():
    """Return a network of two levels; `deep` and `side` read one value."""
    nodes = [
        make("Conv", ["x", "w1"], ["a"], name="first", pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["b"], name="first_relu"),
        make("MaxPool", ["b"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["p", "w2", "bias"], ["c"], name="deep", pads=[1, 1, 1, 1]),
        make("Conv", ["p", "w3"], ["s"], name="side"),
        make("Add", ["c", "s"], ["e"], name="add"),
        make("ConvTranspose", ["e", "w4"], ["u"], name="up", strides=[2, 2]),
        make("Concat", ["b", "u"], ["k"], name="concat", axis=1),
        make("Conv", ["k", "w5"], ["l"], name="logits"),
        make("Softmax", ["l"], ["y"], name="softmax", axis=1),
    ]
    constants = {
        "w1": rand(8, 1, 3, 3) / 3,
        "w2": rand(8, 8, 3, 3) / 8,
        "bias": rand(8),
        "w3": rand(8, 8, 1, 1) / 3,
        "w4": rand(8, 8, 2, 2) / 3,
        "w5": rand(3, 16, 1, 1),
    }
    model = model_of(nodes, {"x": [1, 1, 16, 16]}, {"y": [1, 3, 16, 16]}, constants)
    ShapeInferencePass()(model)
    return model


PICTURE = rand(1, 4, 8, 8)
"""An input of the graphs in ODDITIES."""


def block(*nodes, channels=4, extra=None):
    """Return a convolution, then `nodes` from `c` to `d`, then a convolution."""
    constants = {"w": rand(4, 4, 1, 1) / 2, "v": rand(2, channels, 1, 1) / 2, **(extra or {})}
    ends = make("Conv", ["x", "w"], ["c"], name="in"), make("Conv", ["d", "v"], ["y"], name="end")
    shapes = {"x": [1, 4, 8, 8]}, {"y": list("nchw")}
    return model_of([ends[0], *nodes, ends[1]], *shapes, constants)


def f32(*values):
    return np.array(values, np.float32)


def i64(*values):
    return np.array(values, np.int64)


SPATIAL = {"to": i64(0, 4, 64), "from": i64(0, 4, 8, 8)}


def branch(operator, name):
    """Return a subgraph that reads `c` from outside of it."""
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8])
    return helper.make_graph([make(operator, ["c"], [name])], name, [], [output])


ODDITIES = {
    "resize by scales": lambda: block(
        make("Resize", ["c", "", "s"], ["d"], mode="linear"), extra={"s": f32(1, 1, 2, 2)}
    ),
    "resize with a region": lambda: block(
        make("Resize", ["c", "roi", "s"], ["d"], mode="nearest"),
        extra={"s": f32(1, 1, 2, 2), "roi": f32()},
    ),
    "resize to sizes": lambda: block(
        make("Resize", ["c", "", "", "s"], ["d"], mode="nearest"), extra={"s": i64(1, 4, 5, 3)}
    ),
    "layer norm in pieces": lambda: block(
        make("ReduceMean", ["c"], ["m"], axes=[1]),
        make("Sub", ["c", "m"], ["e"]),
        make("Pow", ["e", "two"], ["p"]),
        make("ReduceMean", ["p"], ["v2"], axes=[1]),
        make("Add", ["v2", "eps"], ["v3"]),
        make("Sqrt", ["v3"], ["s"]),
        make("Div", ["e", "s"], ["d"]),
        extra={"two": f32(2)[0], "eps": f32(1e-12)[0]},
    ),
    "layer norm as one": lambda: block(
        make("LayerNormalization", ["c", "g", "b"], ["d"], axis=-1),
        extra={"g": rand(8), "b": rand(8)},
    ),
    "gelu": lambda: block(
        make("Div", ["c", "root"], ["q"]),
        make("Erf", ["q"], ["e"]),
        make("Add", ["e", "one"], ["o"]),
        make("Mul", ["c", "o"], ["g"]),
        make("Mul", ["g", "half"], ["d"]),
        extra={"root": f32(1.4142)[0], "one": f32(1)[0], "half": f32(0.5)[0]},
    ),
    "attention": lambda: block(
        make("Reshape", ["c", "to"], ["r"]),
        make("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        make("MatMul", ["t", "r"], ["a"]),
        make("Softmax", ["a"], ["s"], axis=-1),
        make("MatMul", ["s", "t"], ["u"]),
        make("Transpose", ["u"], ["z"], perm=[0, 2, 1]),
        make("Reshape", ["z", "from"], ["d"]),
        extra=SPATIAL,
    ),
    "masked attention": lambda: block(
        make("Where", ["mask", "c", "lowest"], ["f"]),
        make("Softmax", ["f"], ["d"], axis=1),
        extra={"mask": rand(1, 4, 8, 8) > 0, "lowest": f32(-1e9)[0]},
    ),
    "squeeze and excite": lambda: block(
        make("GlobalAveragePool", ["c"], ["g"]),
        make("HardSigmoid", ["g"], ["h"]),
        make("Mul", ["c", "h"], ["m"]),
        make("HardSwish", ["m"], ["d"]),
    ),
    "clip with the type's own bounds": lambda: block(
        make("Clip", ["c", "low", "high"], ["e"]),
        make("Clip", ["e", "", "six"], ["d"]),
        extra={"low": f32(-3.4e38)[0], "high": f32(3.4e38)[0], "six": f32(6)[0]},
    ),
    "pad with a constant": lambda: block(
        make("Pad", ["c", "pads", "fill"], ["e"]),
        make("MaxPool", ["e"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        extra={"pads": i64(0, 0, 1, 1, 0, 0, 1, 1), "fill": f32(-3.4e38)[0]},
    ),
    "slice and gather": lambda: block(
        make("Slice", ["c", "start", "stop", "axes"], ["s"]),
        make("Gather", ["s", "which"], ["d"], axis=1),
        extra={"start": i64(2), "stop": i64(6), "axes": i64(2), "which": i64(3, 0, 1, 2)},
    ),
    "split": lambda: block(
        make("Split", ["c"], ["a", "b"], axis=1),
        make("Concat", ["b", "a"], ["d"], axis=1),
    ),
    "integers in between": lambda: block(
        make("Cast", ["c"], ["i"], to=TensorProto.INT32),
        make("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        make("Mul", ["f", "little"], ["l"]),
        make("Add", ["c", "l"], ["d"]),
        extra={"little": f32(0.01)[0]},
    ),
    "a filled shape": lambda: block(
        make("Shape", ["c"], ["s"]),
        make(
            "ConstantOfShape", ["s"], ["k"], value=numpy_helper.from_array(f32(0.5), "value")
        ),
        make("Add", ["c", "k"], ["d"]),
    ),
    "constants as nodes": lambda: block(
        make("Constant", [], ["k"], value=numpy_helper.from_array(f32(0.5), "value")),
        make("Constant", [], ["l"], value_float=2.0),
        make("Add", ["c", "k"], ["e"]),
        make("Mul", ["e", "l"], ["d"]),
    ),
    "a range": lambda: block(
        make("Range", ["start", "stop", "step"], ["k"]),
        make("Add", ["c", "k"], ["d"]),
        extra={"start": f32(0)[0], "stop": f32(8)[0], "step": f32(1)[0]},
    ),
    "einsum": lambda: block(
        make("Einsum", ["c", "m"], ["d"], equation="nchw,cd->ndhw"), extra={"m": rand(4, 4)}
    ),
    "an optional input left out": lambda: block(
        make("Clip", ["c", "", "six"], ["d"]), extra={"six": f32(6)[0]}
    ),
    "batch normalisation": lambda: block(
        make("BatchNormalization", ["c", "s", "b", "m", "v2"], ["d"]),
        extra={"s": rand(4), "b": rand(4), "m": rand(4), "v2": rand(4) ** 2 + 1},
    ),
    "instance normalisation": lambda: block(
        make("InstanceNormalization", ["c", "s", "b"], ["d"]), extra={"s": rand(4), "b": rand(4)}
    ),
    "depth to space": lambda: block(
        make("DepthToSpace", ["c"], ["d"], blocksize=2), channels=1
    ),
    "a branch": lambda: block(
        make(
            "If",
            ["yes"],
            ["d"],
            then_branch=branch("Relu", "t"),
            else_branch=branch("Neg", "e"),
        ),
        extra={"yes": np.array(True)},
    ),
}  # fmt: skip
"""Operators that segmentation networks have between their convolutions, by what is odd."""

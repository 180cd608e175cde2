"""Graphs of operators that segmentation networks have between their convolutions."""

import numpy as np
import onnx_ir as ir
from onnx import TensorProto, checker, helper, numpy_helper

make = helper.make_node


def rand(*shape):
    """Return the same values for a shape, in whatever order tests run."""
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


PICTURE = rand(1, 4, 8, 8)


def block(*nodes, channels=4, extra=None, inputs=None, opset=17):
    """A convolution, then `nodes` from `c` to `d`, then a convolution."""
    constants = {"w": rand(4, 4, 1, 1) / 2, "v": rand(2, channels, 1, 1) / 2, **(extra or {})}
    graph = helper.make_graph(
        [
            make("Conv", ["x", "w"], ["c"], name="in"),
            *nodes,
            make("Conv", ["d", "v"], ["y"], name="end"),
        ],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list("nchw"))],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(proto, full_check=True)
    return ir.from_proto(proto)


def f32(*values):
    return np.array(values, np.float32)


def i64(*values):
    return np.array(values, np.int64)


SPATIAL = {"to": i64(0, 4, 64), "from": i64(0, 4, 8, 8)}

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


def branch(operator, name):
    """A subgraph that reads `c` from outside of it."""
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8])
    return helper.make_graph([make(operator, ["c"], [name])], name, [], [output])

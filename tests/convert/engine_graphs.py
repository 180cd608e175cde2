"""ONNX files small enough to read, saved with what a sidecar would say; no TensorFlow."""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

from unetrt.artifacts import OnnxModel
from unetrt.files import sha256_of
from unetrt.tensors import TensorSpec

make = helper.make_node
ELEMENTS = {
    "fp32": (TensorProto.FLOAT, np.float32),
    "fp16": (TensorProto.FLOAT16, np.float16),
    "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
}


def rand(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def save(path, nodes, inputs, outputs, constants=None, *, external=False, **fields):
    """Save a graph; `inputs` and `outputs` are {name: (NumPy type, shape)}."""
    graph = helper.make_graph(
        nodes,
        "test",
        *(
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
                )
                for name, (dtype, shape) in tensors.items()
            ]
            for tensors in (inputs, outputs)
        ),
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if all(node.domain == "" for node in nodes):
        checker.check_model(proto)
    onnx.save(
        proto, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0
    )
    specs = [
        tuple(TensorSpec(name, dtype, shape) for name, (dtype, shape) in tensors.items())
        for tensors in (inputs, outputs)
    ]
    data = path.with_name(f"{path.name}.data")
    known = {data.name: sha256_of(data)} if external else {}
    fields = {"layout": "NCHW", "external_data": known} | fields
    return OnnxModel(path, sha256_of(path), inputs=specs[0], outputs=specs[1], **fields)


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
    inputs, outputs = {"image": (input_dtype, IMAGE)}, {"y": ("float32", IMAGE)}
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

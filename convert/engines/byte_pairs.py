"""16-bit images for TensorRT, which has no such type: each pixel enters as its two bytes.

The bytes are those that the image has in memory, so nothing is converted before the copy: an input
uint16 [...] becomes uint8 [..., 2], the lower byte first, and the network puts them together.
float32 holds every 16-bit number exactly.
"""

from __future__ import annotations

from typing import Any

from unetrt import vendor
from unetrt.errors import UnsupportedModel

__all__ = ["with_byte_pairs"]


def with_byte_pairs(original: Any) -> Any | None:
    """Return a copy of a ModelProto whose uint16 inputs are pairs of bytes; None has none.

    Raises:
        UnsupportedModel: such an input goes into anything but casts; names the node.
    """
    onnx = vendor.onnx()
    uint16 = onnx.TensorProto.UINT16
    if all(value.type.tensor_type.elem_type != uint16 for value in original.graph.input):
        return None
    proto = onnx.ModelProto()
    proto.CopyFrom(original)
    graph = proto.graph
    for value in graph.input:
        if value.type.tensor_type.elem_type != uint16:
            continue
        name = value.name
        joined = f"{name}/pixels"
        for node in graph.node:
            if name not in node.input:
                continue
            if node.op_type != "Cast":
                raise UnsupportedModel(
                    f"TensorRT has no 16-bit integers, and the input {name!r} is used as such",
                    got=f"node {node.name!r} ({node.op_type})",
                    expected="a cast to float32 first",
                )
            node.input[:] = [joined if entry == name else entry for entry in node.input]
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
        value.type.tensor_type.shape.dim.add().dim_value = 2
        _insert(onnx, proto, name, joined)
    return proto


def _insert(onnx: Any, proto: Any, name: str, joined: str) -> None:
    """Put bytes together: the sum over the last axis of bytes x (1, 256)."""
    graph = proto.graph
    worth = onnx.helper.make_tensor(f"{joined}/worth", onnx.TensorProto.FLOAT, [2], [1.0, 256.0])
    axis = onnx.helper.make_tensor(f"{joined}/axis", onnx.TensorProto.INT64, [1], [-1])
    graph.initializer.extend([worth, axis])
    steps = [("Cast", [name], {"to": onnx.TensorProto.FLOAT})]
    steps += [("Mul", [f"{joined}/Cast", worth.name], {})]
    steps += [("ReduceSum", [f"{joined}/Mul", axis.name], {"keepdims": 0})]
    for place, (operator, inputs, attributes) in enumerate(steps):
        step = f"{joined}/{operator}"
        outputs = [joined if operator == "ReduceSum" else step]
        graph.node.insert(
            place, onnx.helper.make_node(operator, inputs, outputs, name=step, **attributes)
        )

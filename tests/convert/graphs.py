"""Graphs small enough to read, and how to run them."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

RANDOM = np.random.default_rng(0)


def model_of(nodes, inputs, outputs, constants=None, opset=17):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(proto, full_check=True)
    return ir.from_proto(proto)


def operators(model):
    return [node.op_type for node in model.graph]


def run(model, feeds):
    proto = ir.to_proto(model)
    checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def rand(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)

"""Engines on a real GPU, by each library that builds and runs them there.

    pytest -m gpu tests/runtime/gpu

Needs a GPU, the library of an engine that runs on it, and cuda-python or PyCUDA; what else is
missing is skipped.
"""

import numpy as np
import pytest

from unetrt import vendor
from unetrt.runtime import SessionSpec, open_session

LAYERS = {"cuda-python": "cuda.bindings", "pycuda": "pycuda"}
CLASSES, FILTERS = 2, 8


@pytest.fixture(scope="package")
def onnx_model(tmp_path_factory):
    """A small network of free size: convolutions, a pool, a transposed convolution, a concat."""
    onnx = vendor.onnx()
    from unetrt.artifacts import OnnxModel
    from unetrt.sizes import SizeRule
    from unetrt.tensors import TensorSpec

    make, numpy = onnx.helper, onnx.numpy_helper
    random = np.random.default_rng(0)

    def weights(name, *shape):
        values = random.normal(0, 0.2, shape).astype(np.float32)
        return numpy.from_array(values, name)

    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    two = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        make.make_node("Conv", ["image", "w1"], ["a"], **same),
        make.make_node("Relu", ["a"], ["b"]),
        make.make_node("MaxPool", ["b"], ["c"], **two),
        make.make_node("Conv", ["c", "w2"], ["d"], **same),
        make.make_node("ConvTranspose", ["d", "w3"], ["e"], **two),
        make.make_node("Concat", ["b", "e"], ["f"], axis=1),
        make.make_node("Conv", ["f", "w4"], ["g"], **same),
        make.make_node("Softmax", ["g"], ["probabilities"], axis=1),
    ]
    stored = [
        weights("w1", FILTERS, 1, 3, 3),
        weights("w2", FILTERS, FILTERS, 3, 3),
        weights("w3", FILTERS, FILTERS, 2, 2),
        weights("w4", CLASSES, 2 * FILTERS, 3, 3),
    ]
    kind, free = onnx.TensorProto.FLOAT, ("batch", 1, "height", "width")
    graph = make.make_graph(
        nodes,
        "small",
        [make.make_tensor_value_info("image", kind, free)],
        [make.make_tensor_value_info("probabilities", kind, ("batch", CLASSES, *free[2:]))],
        stored,
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    return OnnxModel.write(
        tmp_path_factory.mktemp("gpu") / "small.onnx",
        lambda path: path.write_bytes(model.SerializeToString()),
        sizes=SizeRule(2),
        inputs=(TensorSpec("image", "float32", free, "NCHW"),),
        outputs=(TensorSpec("probabilities", "float32", ("batch", CLASSES, *free[2:]), "NCHW"),),
    )


@pytest.fixture(scope="package", params=vendor.TENSORRT_EXTRAS)
def engine(request, onnx_model):
    """The network built by each library that is installed and runs here."""
    pytest.importorskip(request.param.replace("-", "_"))
    from unetrt.convert.to_engine import EngineSpec, build_engine
    from unetrt.errors import UnetrtError
    from unetrt.tensors import ShapeRange

    sizes = ShapeRange(16, 64, 256)
    spec = EngineSpec(
        backend=request.param, batch=ShapeRange(1, 1, 4), height=sizes, width=sizes, tf32=False
    )
    try:
        made = build_engine(onnx_model, onnx_model.path.with_name(f"{request.param}.engine"), spec)
        open_session(made).close()
    except UnetrtError as error:
        pytest.skip(f"{request.param} does not run here: {error}")
    return made


@pytest.fixture(params=LAYERS)
def session(request, engine):
    if not vendor.installed(LAYERS[request.param]):
        pytest.skip(f"{request.param} is not installed")
    with open_session(engine, SessionSpec(device=request.param)) as opened:
        yield opened


@pytest.fixture(scope="package")
def expected(onnx_model):
    with open_session(onnx_model, SessionSpec(backend="onnxruntime")) as reference:
        yield reference.run

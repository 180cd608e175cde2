"""Engines on a real GPU: both device layers, graphs, arrays of PyCUDA, CuPy and torch.

    pytest -m gpu tests/runtime/test_on_a_gpu.py

Needs a GPU, the library of an engine that runs on it, and cuda-python or PyCUDA; what else is
missing is skipped.
"""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from unetrt import vendor
from unetrt.errors import BadInput, OutOfMemory, ShapeError
from unetrt.gpu import find_gpu
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.devices import open_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(find_gpu() is None, reason="needs an NVIDIA GPU"),
]

LAYERS = {"cuda-python": "cuda.bindings", "pycuda": "pycuda"}
CLASSES, FILTERS = 2, 8


@pytest.fixture(scope="module")
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
        layout="NCHW",
        sizes=SizeRule(2),
        inputs=(TensorSpec("image", "float32", free),),
        outputs=(TensorSpec("probabilities", "float32", ("batch", CLASSES, *free[2:])),),
    )


@pytest.fixture(scope="module", params=vendor.TENSORRT_EXTRAS)
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


@pytest.fixture(scope="module")
def expected(onnx_model):
    with open_session(onnx_model, SessionSpec(backend="onnxruntime")) as reference:
        yield reference.run


def image(side=64, batch=1, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (batch, 1, side, side)).astype(np.float32)


def near(y, x, expected):
    np.testing.assert_allclose(y, expected(x), atol=1e-4)


def same(y, before, session):
    """TensorRT-RTX compiles better kernels meanwhile, which may round otherwise."""
    exact = session.artifact.backend == "tensorrt"
    np.testing.assert_allclose(y, before, atol=0 if exact else 1e-5, rtol=0)


def test_it_is_right_and_the_same_before_and_with_a_graph(session, expected):
    x = image()
    first = session.run(x)
    near(first, x, expected)
    for _ in range(4):
        same(session.run(x), first, session)
    said = session.info
    assert said["cuda_graph"] in ("captured per shape", "captured by the library"), said


def test_shapes_take_turns(session, expected):
    for side, batch in [(64, 1), (128, 2), (16, 4), (64, 1), (64, 1), (128, 2)] * 2:
        x = image(side, batch)
        near(session.run(x), x, expected)


def test_eight_threads_get_what_one_gets(session):
    inputs = [image((16, 64, 128)[seed % 3], seed=seed) for seed in range(96)]
    alone = [session.run(x) for x in inputs]
    with ThreadPoolExecutor(8) as threads:
        for mine, theirs in zip(alone, threads.map(session.run, inputs), strict=True):
            same(theirs, mine, session)
    assert 1 <= session.info["contexts"] <= 4


def test_closing_gives_back_all_memory(engine):
    device = open_device()

    def free():
        with device.current():
            return device.memory()[0]

    def once():
        with open_session(engine) as opened:
            opened.run(image(256, 4))
            with opened.bind(image(256, 4)) as bound:
                bound.launch()
                bound.wait()

    once()  # what the libraries themselves keep is there now
    before = free()
    for _ in range(5):
        once()
    assert before - free() < 8 << 20


def test_ten_thousand_runs_do_not_grow(session):
    x = image()
    for _ in range(100):
        session.run(x)
    device = open_device()
    with device.current():
        before = device.memory()[0]
    for _ in range(10_000):
        session.run(x)
    with device.current():
        assert before - device.memory()[0] < 4 << 20


def test_cupy_arrays_stay_on_the_gpu(session, expected):
    cupy = pytest.importorskip("cupy")
    x = image()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:  # CuPy names the current stream in the interface; the run waits for it
        there = cupy.asarray(x) * 1
        answer = session.run(there)
    seen = cupy.asarray(answer)
    assert seen.data.ptr == answer.address
    near(cupy.asnumpy(seen), x, expected)
    kept = cupy.asnumpy(seen)
    for seed in range(1, 5):
        session.run(cupy.asarray(image(seed=seed)))
    np.testing.assert_array_equal(cupy.asnumpy(seen), kept)  # held, and so not used again
    with pytest.raises(ShapeError, match="not contiguous"):
        session.run(there.transpose(0, 1, 3, 2))
    with pytest.raises(ShapeError, match="got float64"):
        session.run(there.astype(cupy.float64))


def test_torch_tensors_stay_on_the_gpu(session, expected):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    x = image()
    there = torch.from_numpy(x).cuda()
    answer = session.run(there)
    seen = torch.as_tensor(answer, device="cuda")
    assert seen.data_ptr() == answer.address
    near(seen.cpu().numpy(), x, expected)
    with pytest.raises(BadInput, match="got a Tensor, expected a NumPy array"):
        session.run(there.cpu())
    with pytest.raises(ShapeError, match="not contiguous"):
        session.run(there.transpose(2, 3))
    pytest.importorskip("cuda.core")
    shared = torch.from_dlpack(answer)
    assert shared.data_ptr() == answer.address
    assert torch.equal(shared, seen)
    address = answer.address
    del answer, seen
    gc.collect()
    assert session.run(there).address != address  # DLPack's consumer holds it still
    near(shared.cpu().numpy(), x, expected)


def test_pycuda_arrays_stay_on_the_gpu(engine, expected):
    driver = pytest.importorskip("pycuda.driver")
    from pycuda import gpuarray

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    try:
        x = image()
        there = gpuarray.to_gpu(x)
        with open_session(engine, SessionSpec(device="pycuda")) as opened:
            answer = opened.run(there)
            near(answer.numpy(), x, expected)
            del answer
        del there
    finally:
        context.pop()


def test_torchs_own_stream(engine, expected):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    stream, x = torch.cuda.Stream(), image()
    with open_session(engine, SessionSpec(stream=stream)) as opened, torch.cuda.stream(stream):
        for seed in range(20):
            x = image(seed=seed)
            there = torch.from_numpy(x).cuda(non_blocking=True) + 0
            answer = torch.as_tensor(opened.run(there), device="cuda") + 0
            near(answer.cpu().numpy(), x, expected)
        near(opened.run(x), x, expected)
        stream.synchronize()


def test_host_memory_passed_for_the_gpus_is_refused_and_nothing_breaks(session):
    x = image()

    class Pretended:
        shape, dtype = x.shape, x.dtype
        __cuda_array_interface__ = {  # noqa: RUF012
            "shape": x.shape,
            "typestr": "<f4",
            "data": (x.ctypes.data, False),
            "version": 3,
        }

    with pytest.raises(BadInput, match="not on this GPU"):
        session.run(Pretended())
    assert session.run(x).shape == (1, CLASSES, 64, 64)


def test_out_of_memory_names_the_bytes_and_all_stays_usable(session):
    device = open_device(session.spec.device)
    with device.current():
        total = device.memory()[1]
        with pytest.raises(OutOfMemory, match=f"allocate {2 * total} bytes on .* free of {total}"):
            device.allocate(2 * total)
    assert session.run(image()).shape == (1, CLASSES, 64, 64)


def test_a_bound_run_is_right_and_its_stages_add_up(session, expected):
    x = image(256, 4)
    with session.bind(x) as bound:
        bound.launch()
        bound.wait()
        near(bound.outputs()[0], x, expected)
        compute = bound.compute_ns()
        stages = bound.stages()
        assert compute > 0
        parts = (stages.copy_in_ns, stages.compute_ns, stages.copy_out_ns)
        assert all(part > 0 for part in parts)
        assert stages.enqueue_ns <= stages.host_ns


def test_cupy_through_dlpack_alone(session, expected):
    cupy = pytest.importorskip("cupy")
    pytest.importorskip("cuda.core")
    x = image()
    there = cupy.asarray(x)

    class OnlyDlpack:
        shape, dtype = there.shape, there.dtype

        def __dlpack__(self, **options):
            return there.__dlpack__(**options)

        def __dlpack_device__(self):
            return there.__dlpack_device__()

    near(session.run(OnlyDlpack()).numpy(), x, expected)

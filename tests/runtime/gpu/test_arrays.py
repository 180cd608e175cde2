"""Arrays of PyCUDA, CuPy and torch: where they lie, and in their streams."""

import gc

import numpy as np
import pytest

from tests.runtime.gpu.same import image, near
from unetrt.errors import BadInput, ShapeError
from unetrt.gpu import find_gpu
from unetrt.runtime import SessionSpec, open_session

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(find_gpu() is None, reason="needs an NVIDIA GPU"),
]


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
    assert session.run(x).shape == (1, 2, 64, 64)


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

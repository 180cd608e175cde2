import numpy as np
import pytest

from tests.fakes.tensorrt_runtime import CudaArray
from unetrt.errors import BadInput
from unetrt.runtime import SessionSpec
from unetrt.runtime.session import device_run, device_views, on_host


class OnTheCpu:
    info = {"backend": "onnxruntime"}  # noqa: RUF012


def test_a_cpu_backend_says_how_to_bring_the_array_to_the_host():
    with pytest.raises(BadInput, match=r"on onnxruntime takes no array on a GPU.*x.cpu\(\).numpy"):
        device_run(OnTheCpu(), SessionSpec())


def test_numbers_on_the_gpu_cannot_be_checked():
    with pytest.raises(
        BadInput, match="on a GPU are finite; open the session without check_finite"
    ):
        device_run(OnTheCpu(), SessionSpec(check_finite=True))


def test_sides_are_told_apart():
    x = np.zeros(4, np.float32)
    there = CudaArray(4096, x)
    assert on_host((x, x))
    assert not on_host((x, there))
    with pytest.raises(BadInput, match="got CudaArray and ndarray, expected all of one kind"):
        device_views((x, there))
    assert device_views((there,))[0].address == 4096

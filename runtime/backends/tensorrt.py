"""TensorRT and TensorRT-RTX, which share one Python API: one engine, one context, one stream."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import Engine
from unetrt.errors import ArtifactError, NoDevice, ShapeError
from unetrt.gpu import find_gpu

from ..devices import Device, open_device  # noqa: TID252  (inside a stage, imports are relative)

__all__ = ["open_backend"]


def open_backend(engine: Engine, threads: int | None) -> _TensorRT:  # noqa: ARG001
    """Open an engine on this machine's GPU; the threads are a CPU's matter.

    Raises:
        NoDevice: there is no GPU, or the library refuses the one there is.
        ArtifactError: the engine was built by another version of its library.
    """
    if find_gpu() is None:
        raise NoDevice(
            f"Cannot run {engine.path} here",
            got="no NVIDIA GPU with a driver",
            expected="a GPU to execute TensorRT engines",
            hint="copy the engine and its .json to a machine that has one",
        )
    trt = vendor.tensorrt(engine.backend)
    if trt.__version__ != engine.backend_version:
        raise ArtifactError(
            f"{engine.path} was built by another {engine.backend}",
            got=engine.backend_version,
            expected=f"{trt.__version__}, as installed",
            hint="engines do not cross versions: build it again from its ONNX file",
        )
    return _TensorRT(trt, engine, open_device())


class _TensorRT:
    def __init__(self, trt: Any, engine: Engine, device: Device) -> None:
        self._device = device
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(engine.path.read_bytes())
        self._context = self._engine and self._engine.create_execution_context()
        if self._context is None:
            device.close()
            raise NoDevice(
                f"{engine.backend} {engine.backend_version} refuses {engine.path}",
                got=str(find_gpu()),
                hint="see its message above; build the engine again on this machine",
            )
        self._name = engine.inputs[0].name
        self._output = engine.outputs[0].name
        self._range = self._engine.get_tensor_profile_shape(self._name, 0)
        self._buffers: list[int] = []
        self._result = np.empty(0, np.float32)
        self.info = {
            "backend": engine.backend,
            "version": engine.backend_version,
            "device": device.name,
        }

    def check(self, shape: tuple[int, ...]) -> None:
        """Choose the shape and allocate for it, once for each change of shape."""
        least, _, most = (tuple(end) for end in self._range)
        if not all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
            raise ShapeError(
                "The engine was not built for this size",
                got=shape,
                expected=f"between {least} and {most}",
                hint="build it again with other --batch or --size ranges",
            )
        self._free()
        self._context.set_input_shape(self._name, shape)
        out_shape = tuple(self._context.get_tensor_shape(self._output))
        self._result = np.empty(out_shape, np.float32)
        for name, count in ((self._name, prod(shape)), (self._output, prod(out_shape))):
            self._buffers.append(self._device.allocate(4 * count))
            self._context.set_tensor_address(name, self._buffers[-1])

    def run(self, x_nhwc: NDArray[np.float32]) -> NDArray[np.float32]:
        """Copy in, launch, copy out, wait."""
        source, target = self._buffers
        self._device.copy_in(source, x_nhwc)
        if not self._context.execute_async_v3(self._device.stream):
            raise ArtifactError("The engine did not run", hint="see TensorRT's message above")
        result = np.empty_like(self._result)
        self._device.copy_out(result, target)
        self._device.synchronize()
        return result

    def close(self) -> None:
        """Free the buffers, then the context before its engine."""
        self._free()
        del self._context, self._engine, self._runtime
        self._device.close()

    def _free(self) -> None:
        while self._buffers:
            self._device.free(self._buffers.pop())

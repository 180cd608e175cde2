"""TensorRT and TensorRT-RTX, which share one Python API: one engine, one context, one stream."""

from __future__ import annotations

import warnings
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import Engine
from unetrt.caches import cache_file, read_cache, write_cache
from unetrt.engine_fit import check_gpu, check_version, check_weights, wants_host_code
from unetrt.errors import ArtifactError, NoDevice, ShapeError
from unetrt.gpu import Gpu, find_gpu
from unetrt.tensors import TensorSpec

from ..devices import Device, open_device
from ..session_spec import SessionSpec

__all__ = ["WHY", "open_backend"]

WHY = "an engine runs on the library that built it"

_TYPES = {
    "float32": "FLOAT", "float16": "HALF", "int32": "INT32", "int64": "INT64",
    "int8": "INT8", "uint8": "UINT8", "bool": "BOOL",
    # TensorRT has no such type: pairs of bytes, as convert/engines/byte_pairs.py says.
    "uint16": "UINT8",
}  # fmt: skip


def open_backend(engine: Engine, spec: SessionSpec | None) -> _TensorRT:  # noqa: ARG001
    """Open an engine on this machine's GPU.

    Raises:
        NoDevice: there is no GPU, it is not the one that the engine was built for, or the library
            refuses it.
        ArtifactError: the engine was built by another version of its library, or has no weights,
            or is not what its sidecar says.
        MissingDependency: the engine's own library is not installed.
    """
    gpu = check_gpu(engine, find_gpu())
    check_weights(engine)
    if engine.backend not in vendor.TENSORRT_EXTRAS:
        raise ArtifactError(
            f"{engine.path} was built by a library that unetrt does not know",
            got=repr(engine.backend),
            expected=" or ".join(vendor.TENSORRT_EXTRAS),
        )
    trt = vendor.tensorrt(engine.backend)
    check_version(engine, trt.__version__)
    return _TensorRT(trt, engine, gpu, open_device())


class _TensorRT:
    def __init__(self, trt: Any, engine: Engine, gpu: Gpu, device: Device) -> None:
        self._device = device
        self.turn = Lock()  # one context, one stream, one set of buffers
        self._buffers: list[int] = []
        self._inputs, self._outputs = engine.inputs, engine.outputs
        self._results: list[NDArray[Any]] = []
        self.info = {
            "backend": engine.backend,
            "version": trt.__version__,
            "device": device.name,
        }
        try:
            self._runtime, self._engine = _deserialized(trt, engine)
            _check_tensors(engine, self._engine)
            self._cache, self._cache_file, self._context = _context(trt, engine, gpu, self._engine)
        except BaseException:
            device.close()
            raise
        self._ranges = [
            [tuple(end) for end in self._engine.get_tensor_profile_shape(tensor.name, 0)]
            for tensor in self._inputs
        ]

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Choose the inputs' shapes and allocate for them, once for each change of shape."""
        bound = [_bound(tensor, shape) for tensor, shape in zip(self._inputs, shapes, strict=True)]
        for tensor, shape, (least, _, most) in zip(self._inputs, bound, self._ranges, strict=True):
            fits = len(shape) == len(least) and all(
                low <= size <= high for low, size, high in zip(least, shape, most, strict=True)
            )
            if not fits:
                pair = len(shape) - len(tensor.shape)
                ends = (tuple(end[: len(end) - pair]) for end in (least, most))
                raise ShapeError(
                    f"The engine was not built for this size of {tensor.name!r}",
                    got=shape[: len(shape) - pair],
                    expected="between {} and {}".format(*ends),
                    hint="build it again with other --batch or --size ranges",
                )
        self._free()
        for tensor, shape in zip(self._inputs, bound, strict=True):
            if not self._context.set_input_shape(tensor.name, shape):
                raise ShapeError(f"The engine refuses this size of {tensor.name!r}", got=shape)
        self._results = []
        for tensor in self._outputs:
            shape = tuple(self._context.get_tensor_shape(tensor.name))
            if min(shape, default=0) < 0:
                raise ShapeError(
                    f"The size of output {tensor.name!r} is not known before the run", got=shape
                )
            self._results.append(np.empty(shape, tensor.dtype))
        sizes = [
            int(np.prod(shape)) * _bytes_of(t) for t, shape in zip(self._inputs, bound, strict=True)
        ]
        sizes += [result.nbytes for result in self._results]
        for tensor, nbytes in zip((*self._inputs, *self._outputs), sizes, strict=True):
            self._buffers.append(self._device.allocate(nbytes))
            self._context.set_tensor_address(tensor.name, self._buffers[-1])

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """Copy in, launch, copy out, wait."""
        count = len(arrays)
        for array, address in zip(arrays, self._buffers[:count], strict=True):
            self._device.copy_in(address, array)
        if not self._context.execute_async_v3(self._device.stream):
            raise ArtifactError("The engine did not run", hint="see TensorRT's message above")
        results = tuple(np.empty_like(result) for result in self._results)
        for result, address in zip(results, self._buffers[count:], strict=True):
            self._device.copy_out(result, address)
        self._device.synchronize()
        return results

    def close(self) -> None:
        """Keep what was compiled, free the buffers, then the context before its engine."""
        self._free()
        learnt = None if self._cache is None else self._cache.serialize()
        if learnt is not None:
            _warn(write_cache(self._cache_file, bytes(memoryview(learnt))))
        del self._context, self._cache, self._engine, self._runtime
        self._device.close()

    def _free(self) -> None:
        while self._buffers:
            self._device.free(self._buffers.pop())


def _deserialized(trt: Any, engine: Engine) -> tuple[Any, Any]:
    """Open the file, its header looked at first where the library can."""
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    plan = engine.path.read_bytes()
    if hasattr(runtime, "get_engine_validity"):
        validity, reasons = runtime.get_engine_validity(plan[: runtime.engine_header_size])
        if validity == trt.EngineValidity.INVALID:
            members = trt.EngineInvalidityDiagnostics.__members__
            raise NoDevice(
                f"{engine.backend} {trt.__version__} says that {engine.path} cannot run here",
                got=", ".join(name for name, bit in members.items() if reasons & int(bit))
                or "no reason given",
                hint="build it again for this GPU, or bring its driver up to date",
            )
    if wants_host_code(engine):
        runtime.engine_host_code_allowed = True  # check_version saw that it is
    opened = runtime.deserialize_cuda_engine(plan)
    if opened is None:
        raise NoDevice(
            f"{engine.backend} {engine.backend_version} refuses {engine.path}",
            got=str(find_gpu()),
            hint="see its message above; build the engine again on this machine",
        )
    return runtime, opened


def _check_tensors(engine: Engine, opened: Any) -> None:
    """Refuse an engine whose tensors are not its sidecar's: buffers are sized by the sidecar."""
    expected = {t.name: _TYPES.get(t.dtype, t.dtype) for t in (*engine.inputs, *engine.outputs)}
    names = [opened.get_tensor_name(index) for index in range(opened.num_io_tensors)]
    found = {name: str(opened.get_tensor_dtype(name).name) for name in names}
    if found != expected:
        raise ArtifactError(
            f"{engine.path} is not what its sidecar says",
            got=f"tensors {found}",
            expected=expected,
            hint="build it again from its ONNX file",
        )


def _context(trt: Any, engine: Engine, gpu: Gpu, opened: Any) -> tuple[Any, Path, Any]:
    """Make a context; TensorRT-RTX compiles kernels as it runs, which are kept for the next."""
    path = cache_file("runtime", backend=engine.backend, version=trt.__version__, gpu=gpu)
    config = opened.create_runtime_config()
    cache = None
    if hasattr(config, "create_runtime_cache"):
        cache = config.create_runtime_cache()
        content = read_cache(path)
        if content and not cache.deserialize(content):
            _warn(f"The cache {path} does not fit this library and GPU; it is started again.")
        config.set_runtime_cache(cache)
        context = opened.create_execution_context(config)
    else:
        context = opened.create_execution_context()
    if context is None:
        raise NoDevice(
            f"{engine.backend} {engine.backend_version} cannot run {engine.path}",
            got=str(find_gpu()),
            hint="see its message above; a smaller --batch or --size takes less memory",
        )
    return cache, path, context


def _bound(tensor: TensorSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the engine's own shape for a tensor's: a 16-bit number is two bytes there."""
    return (*shape, 2) if tensor.dtype == "uint16" else shape


def _bytes_of(tensor: TensorSpec) -> int:
    return 1 if tensor.dtype == "uint16" else np.dtype(tensor.dtype).itemsize


def _warn(message: str | None) -> None:
    if message is not None:
        warnings.warn(message, RuntimeWarning, stacklevel=2)

"""Open an engine file: its weights on the GPU, which all its contexts share."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import Any

from unetrt.artifacts import Engine
from unetrt.caches import cache_file, read_cache, write_cache
from unetrt.errors import ArtifactError, NoDevice, OutOfMemory, ShapeError
from unetrt.gpu import Gpu
from unetrt.precision import Precision
from unetrt.tensors import TensorSpec

__all__ = ["OpenedEngine"]


class RunSettings:
    """Configure the contexts of a TensorRT-RTX engine, which share a cache of compiled kernels."""

    def __init__(self, trt: Any, engine: Engine, gpu: Gpu, opened: Any) -> None:
        self._trt, self._opened, self._cache = trt, opened, None
        self._file = cache_file("runtime", backend=engine.backend, version=trt.__version__, gpu=gpu)
        config = opened.create_runtime_config()
        if not hasattr(config, "create_runtime_cache"):
            return
        self._cache = config.create_runtime_cache()
        content = read_cache(self._file)
        if content and not self._cache.deserialize(content):
            _warn(f"The cache {self._file} does not fit this library and GPU; it is started again.")

    @property
    def library_captures(self) -> bool:
        """Return True if the library captures CUDA graphs by itself."""
        return self._cache is not None

    def create_context(self, *, fixed: bool) -> Any:
        """Return a new context, or None where the library cannot make one.

        `fixed`: its shapes will not change, so that kernels for them are compiled at once. Else
        the first runs of a shape make do with general ones, until a thread has compiled better.
        """
        if self._cache is None:
            return self._opened.create_execution_context()
        config = self._opened.create_runtime_config()
        config.set_runtime_cache(self._cache)
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        if fixed:
            eager = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
            config.dynamic_shapes_kernel_specialization_strategy = eager
        return self._opened.create_execution_context(config)

    def close(self) -> None:
        """Store the compiled kernels for the next time; call it after the contexts are gone."""
        learnt = None if self._cache is None else self._cache.serialize()
        if learnt is not None:
            _warn(write_cache(self._file, bytes(memoryview(learnt))))
        del self._cache, self._opened


def _warn(message: str | None) -> None:
    if message is not None:
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _tensorrt_type(dtype: str) -> str:
    """Return what TensorRT calls NumPy's type; it has no uint16, which is pairs of bytes there."""
    known = Precision.lookup("numpy", dtype)
    if known is not None:
        return known.tensorrt
    return "UINT8" if dtype == "uint16" else dtype.upper()


class OpenedEngine:
    """Hold a deserialised engine whose tensors agree with its sidecar.

    Attributes:
        inputs, outputs: as the sidecar says.
        library_captures: whether the library makes CUDA graphs by itself.
    """

    def __init__(self, trt: Any, engine: Engine, gpu: Gpu) -> None:
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._file = engine
        self._gpu = gpu
        self._runtime, self._opened = _deserialized(trt, engine, gpu)
        _check_tensors(engine, self._opened)
        self._settings = RunSettings(trt, engine, gpu, self._opened)
        self.library_captures = self._settings.library_captures
        self._making = Lock()
        # One profile is built. Contexts share it: since TensorRT 10 that needs no leave (trtexec
        # says so of its flag profileSharing0806), as it did in 8.6 and could not before.
        self._ranges = [
            [tuple(end) for end in self._opened.get_tensor_profile_shape(tensor.name, 0)]
            for tensor in self.inputs
        ]

    def bound(self, shapes: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
        """Return the engine's own shapes for those of the inputs.

        Raises:
            ShapeError: the engine was not built for them.
        """
        bound = [_bound(tensor, shape) for tensor, shape in zip(self.inputs, shapes, strict=True)]
        for tensor, shape, (least, _, most) in zip(self.inputs, bound, self._ranges, strict=True):
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
                    hint="build it again with other ranges of batch, height and width",
                )
        return bound

    def create_context(self, *, fixed: bool) -> Any:
        """Return a new execution context; `fixed`: its shapes will not change.

        Raises:
            OutOfMemory: the library made none, as it does where its activations do not fit.
        """
        with self._making:
            context = self._settings.create_context(fixed=fixed)
        if context is None:
            raise OutOfMemory(
                f"{self._file.backend} {self._file.backend_version} cannot run {self._file.path}",
                got=str(self._gpu),
                hint="see its message above; a smaller batch, height or width takes less memory",
            )
        return context

    def close(self) -> None:
        """Store the compiled kernels, then free the engine before its runtime."""
        self._settings.close()
        del self._settings, self._opened, self._runtime


def _deserialized(trt: Any, engine: Engine, gpu: Gpu) -> tuple[Any, Any]:
    """Deserialise the file; where the library can, check its header first."""
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
    if engine.target.version_compatible:
        runtime.engine_host_code_allowed = True  # check_version saw that it is
    opened = runtime.deserialize_cuda_engine(plan)
    if opened is None:
        raise NoDevice(
            f"{engine.backend} {engine.backend_version} refuses {engine.path}",
            got=str(gpu),
            hint="see its message above; build the engine again on this machine",
        )
    return runtime, opened


def _check_tensors(engine: Engine, opened: Any) -> None:
    """Refuse an engine whose tensors are not its sidecar's: buffers are sized by the sidecar."""
    expected = {t.name: _tensorrt_type(t.dtype) for t in (*engine.inputs, *engine.outputs)}
    names = [opened.get_tensor_name(index) for index in range(opened.num_io_tensors)]
    found = {name: str(opened.get_tensor_dtype(name).name) for name in names}
    if found != expected:
        raise ArtifactError(
            f"{engine.path} is not what its sidecar says",
            got=f"tensors {found}",
            expected=expected,
            hint="build it again from its ONNX file",
        )


def _bound(tensor: TensorSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the engine's own shape for a tensor's: a 16-bit number is two bytes there."""
    return (*shape, 2) if tensor.dtype == "uint16" else shape

"""What TensorRT-RTX is told of running: where its compiled kernels are kept, its own CUDA graphs.

TensorRT compiles nothing as it runs and captures no graph: of the same config it knows neither.
"""

from __future__ import annotations

import warnings
from typing import Any

from unetrt.artifacts import Engine
from unetrt.caches import cache_file, read_cache, write_cache
from unetrt.gpu import Gpu

__all__ = ["RunSettings"]


class RunSettings:
    """The config of an engine's contexts, which share one cache of compiled kernels."""

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
        """Whether the library makes CUDA graphs by itself."""
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
        """Keep what was compiled for the next time; call it after the contexts are gone."""
        learnt = None if self._cache is None else self._cache.serialize()
        if learnt is not None:
            _warn(write_cache(self._file, bytes(memoryview(learnt))))
        del self._cache, self._opened


def _warn(message: str | None) -> None:
    if message is not None:
        warnings.warn(message, RuntimeWarning, stacklevel=2)

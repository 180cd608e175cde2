"""Times of an engine's layers, by the profiler of the library that runs it: on a GPU alone."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.artifacts import Engine
from unetrt.engine_layers import EngineLayers, read_engine_layers
from unetrt.errors import ArtifactError, NoDevice
from unetrt.runtime.devices import open_device

__all__ = ["profile_engine"]

_WARMUP = 5


def profile_engine(
    engine: Engine, *, batch: int, height: int, width: int, runs: int = 50
) -> tuple[EngineLayers, dict[str, tuple[float, ...]]]:
    """Run the engine `runs` times with a profiler; return its layers and each one's milliseconds.

    In a context of its own, since a profiler waits after each layer. Inputs are random.

    Raises:
        NoDevice: no GPU, or the library refuses the engine here.
        ArtifactError: it did not run, or the inspector's JSON is of another version.
        MissingDependency: the engine's library is not installed.
    """
    trt = vendor.tensorrt(engine.backend)
    with ExitStack() as stack:
        device = open_device()
        stack.callback(device.close)
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        opened = runtime.deserialize_cuda_engine(engine.path.read_bytes())
        context = None if opened is None else opened.create_execution_context()
        if context is None:
            raise NoDevice(f"{engine.backend} {trt.__version__} cannot run {engine.path} here")
        sizes = {"batch": batch, "height": height, "width": width}
        random = np.random.default_rng(0)
        for tensor in engine.inputs:
            shape = tuple(sizes.get(n, 1) if isinstance(n, str) else n for n in tensor.shape)
            context.set_input_shape(tensor.name, shape)
            pixels = random.integers(0, 256, shape).astype(tensor.dtype)
            _place(stack, device, context, tensor.name, pixels, copy=True)
        for tensor in engine.outputs:
            shape = tuple(context.get_tensor_shape(tensor.name))
            _place(stack, device, context, tensor.name, np.empty(shape, tensor.dtype), copy=False)
        times: dict[str, list[float]] = defaultdict(list)
        context.profiler = profiler = _profiler(trt, times)
        for _ in range(_WARMUP + runs):
            if not context.execute_async_v3(device.stream):
                raise ArtifactError(f"{engine.path} did not run", hint="see the message above")
            device.synchronize()
        del context, profiler
        return _layers(trt, engine, opened), {k: tuple(v[-runs:]) for k, v in times.items()}


def _place(
    stack: ExitStack, device: Any, context: Any, name: str, array: Any, *, copy: bool
) -> None:
    address = device.allocate(array.nbytes)
    stack.callback(device.free, address)
    if copy:
        device.copy_in(address, array)
        device.synchronize()
    context.set_tensor_address(name, address)


def _layers(trt: Any, engine: Engine, opened: Any) -> EngineLayers:
    told = opened.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        return read_engine_layers(told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"Cannot read what the engine inspector of {trt.__version__} says of {engine.path}",
            got=repr(error),
        ) from error


def _profiler(trt: Any, times: dict[str, list[float]]) -> Any:
    """Return the library's profiler that keeps what it is told; a class of the library's own."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times[layer_name].append(ms)

    return Profiler()

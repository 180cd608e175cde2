"""Times of an engine's layers, by the profiler of the library that runs it: on a GPU alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from math import prod
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.artifacts import Engine
from unetrt.engine_compatibility import wants_host_code
from unetrt.engine_layers import EngineLayers, read_engine_layers
from unetrt.errors import ArtifactError, NoDevice, ShapeError
from unetrt.runtime.devices import Device, open_device

__all__ = ["profile_engine"]

_WARMUP = 5


def profile_engine(
    engine: Engine, *, batch: int, height: int, width: int, runs: int = 50
) -> tuple[EngineLayers, dict[str, tuple[float, ...]]]:
    """Run the engine `runs` times with a profiler; return its layers and each one's milliseconds.

    In a context of its own, since a profiler waits after each layer. Inputs are random; none may be
    of 16-bit pixels, which engines take as pairs of bytes.

    Raises:
        NoDevice: no GPU, or the library refuses the engine here.
        ShapeError: the engine was not built for that size.
        ArtifactError: it did not run, or the inspector's JSON is of another version.
        MissingDependency: the engine's library is not installed.
    """
    trt = vendor.tensorrt(engine.backend)
    device = open_device()
    sizes = {"batch": batch, "height": height, "width": width}
    times: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        stack.enter_context(device.current())
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        if wants_host_code(engine):
            runtime.engine_host_code_allowed = True
        opened = runtime.deserialize_cuda_engine(engine.path.read_bytes())
        context = None if opened is None else opened.create_execution_context()
        if context is None:
            raise NoDevice(f"{engine.backend} {trt.__version__} cannot run {engine.path} here")
        stream = device.open_stream()
        stack.callback(device.close_stream, stream)
        _feed(engine, device, context, stream, stack, sizes)
        context.profiler = profiler = _profiler(trt, times)
        for _ in range(_WARMUP + runs):
            if not context.execute_async_v3(stream):
                raise ArtifactError(f"{engine.path} did not run", hint="see the message above")
            device.synchronize(stream)
        del context, profiler  # the context first: it knows the profiler
        layers = _layers(trt, engine, opened)
    return layers, {name: tuple(taken[-runs:]) for name, taken in times.items()}


def _feed(
    engine: Engine,
    device: Device,
    context: Any,
    stream: int,
    stack: ExitStack,
    sizes: Mapping[str, int],
) -> None:
    """Give each tensor memory, and the inputs random pixels, until `stack` ends."""

    def place(name: str, nbytes: int) -> int:
        address = device.allocate(nbytes)
        stack.callback(device.free, address)
        context.set_tensor_address(name, address)
        return address

    random = np.random.default_rng(0)
    for tensor in engine.inputs:
        shape = tuple(sizes.get(n, 1) if isinstance(n, str) else n for n in tensor.shape)
        pixels = random.integers(0, 256, shape).astype(tensor.dtype)
        if not context.set_input_shape(tensor.name, shape):
            raise ShapeError(f"The engine refuses this size of {tensor.name!r}", got=shape)
        device.copy_in(place(tensor.name, pixels.nbytes), pixels, stream)
        device.synchronize(stream)
    for tensor in engine.outputs:
        made = tuple(context.get_tensor_shape(tensor.name))
        place(tensor.name, prod(made) * np.dtype(tensor.dtype).itemsize)


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

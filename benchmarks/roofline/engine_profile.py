"""Attribute the time of an engine to kinds of work and to the Keras blocks of the network."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import prod
from statistics import median
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.engine_layers import EngineLayer, EngineLayers, read_engine_layers
from unetrt.errors import ArtifactError, CheckFailed, NoDevice, ShapeError
from unetrt.runtime.devices import Device, open_device

from .graph_cost import block_of

__all__ = ["engine_shares", "operators", "profile_engine"]

_WARMUP = 5


def profile_engine(
    engine: Engine, *, batch: int, height: int, width: int, runs: int = 50
) -> tuple[EngineLayers, dict[str, tuple[float, ...]]]:
    """Run an engine with a profiler; return its layers, and the milliseconds of each by name.

    It runs in a context of its own, since a profiler waits after each layer. Inputs are random.

    Args:
        engine: whose inputs are not of 16-bit pixels, which engines take as pairs of bytes.
        batch: images at once.
        height: in pixels.
        width: in pixels.
        runs: that are timed, after some that are not.

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
        if engine.target.version_compatible:
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


_PRODUCTS = {
    "Conv": "convolutions",
    "ConvTranspose": "transposed convolutions",
    "Gemm": "matrix products",
    "MatMul": "matrix products",
}

_COPIES = {
    "Cast", "Concat", "Expand", "Flatten", "Identity", "Pad", "Reshape", "Slice", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip

_JOINTS = re.compile(r" \+ | \|\| |PWN\(|[(){}\[\],]|\.\.\.")
"""Between the nodes' names in the name of a layer that was fused from several."""

_COMPILED = re.compile(r"_myl\d+_\d+$")
"""What TensorRT's compiler adds to the name of the node that a kernel is for."""


@dataclass(frozen=True, slots=True)
class EngineShares:
    """Hold shares of the time in all layers, which add up to 1.

    Attributes:
        kinds: "convolutions", "transposed convolutions", "matrix products", "copies",
            "reformats", "others", and several joined by " and " where one layer does both.
        blocks: of Keras; "down1, down2" of a layer that is of both, "" of one of none.
        runs: whose medians were taken.
    """

    kinds: dict[str, float]
    blocks: dict[str, float]
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def operators(model: OnnxModel) -> dict[str, str]:
    """Return the kind of each node of an ONNX file by its name.

    Raises:
        ArtifactError: it is no ONNX file.
        MissingDependency: onnx is not installed.
    """
    try:
        graph = vendor.onnx().load(model.path, load_external_data=False).graph
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(f"Cannot read {model.path}", got=error, expected="ONNX") from error
    return {node.name: node.op_type for node in graph.node}


def engine_shares(
    layers: Sequence[EngineLayer],
    times_ms: Mapping[str, Sequence[float]],
    kinds_of_nodes: Mapping[str, str],
) -> EngineShares:
    """Share out the time of an engine's layers, each by the median of its runs.

    Args:
        layers: of the engine, from `profile_engine`.
        times_ms: each layer's milliseconds by its name, from `profile_engine`.
        kinds_of_nodes: from `operators`, of the ONNX file that the engine was built from.

    Raises:
        CheckFailed: the profiler timed nothing, or nothing that the inspector knows.
    """
    known = {layer.name: layer for layer in layers}
    medians = {name: median(times) for name, times in times_ms.items() if times}
    total = sum(medians.values())
    if not total or not known.keys() & medians.keys():
        raise CheckFailed(
            "The profiler's layers are not those of the engine",
            got=", ".join(list(medians)[:3]) or "no times",
            expected=", ".join(list(known)[:3]) or "layers in the engine",
        )
    kinds: dict[str, float] = defaultdict(float)
    blocks: dict[str, float] = defaultdict(float)
    for name, ms in medians.items():
        layer = known.get(name) or EngineLayer(name, "", (), reformats=False, type=None)
        nodes = _nodes_of(layer, kinds_of_nodes)
        kinds[_kind(layer, [kinds_of_nodes[node] for node in nodes])] += ms / total
        blocks[", ".join(dict.fromkeys(map(block_of, nodes)))] += ms / total
    return EngineShares(dict(kinds), dict(blocks), max(map(len, times_ms.values())))


def _nodes_of(layer: EngineLayer, known: Mapping[str, str]) -> list[str]:
    """Return the ONNX nodes of a layer: those that it names, else those that its name is made of.

    TensorRT's parser names layers that a node brings with it after the node.
    """
    named = layer.nodes or tuple(
        _COMPILED.sub("", part.strip()) for part in _JOINTS.split(layer.name)
    )
    return [name for name in dict.fromkeys(named) if name in known]


def _kind(layer: EngineLayer, operators_: Sequence[str]) -> str:
    if layer.reformats:
        return "reformats"
    products = sorted({_PRODUCTS[op] for op in operators_ if op in _PRODUCTS})
    if products:
        return " and ".join(products)
    return "copies" if operators_ and set(operators_) <= _COPIES else "others"

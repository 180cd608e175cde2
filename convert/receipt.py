"""Read the types that an engine computes in, from the parsed network and from the engine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from unetrt.engine_layers import read_engine_layers
from unetrt.errors import ReceiptError
from unetrt.precision import Precision
from unetrt.receipt import Inspection, Receipt

__all__ = ["Reading", "inspect_engine", "read_inspection", "read_receipt"]

_NAMED = 4
"""Layers that an error lists."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold a receipt as it was read, and the type of each convolution by its layer's name."""

    receipt: Receipt
    types: dict[str, str]

    def check(
        self, precision: str, promised: Mapping[str, str], kept: Collection[str] = ()
    ) -> dict[str, str]:
        """Return the convolutions kept in another type than `precision`, or refuse the network.

        An "FP16" engine that is FP32 is the worst bug of TensorRT 11's users: it builds with one
        warning and runs at a quarter of the speed. So every convolution must compute in the type
        that the ONNX file gives it, and that must be `precision`, but for the layers in `kept`.

        Raises:
            ReceiptError: some convolution does not; names the first few.
        """
        broken = {
            name: f"{own}, not {promised[name]}"
            for name, own in self.types.items()
            if promised.get(name, own) != own
        }
        if broken:
            raise ReceiptError(
                "The engine does not compute in the types of its ONNX file",
                got=_listed(broken),
                hint="this is a fault of the library's parser; try another version of it",
            )
        others = {name: own for name, own in self.types.items() if own != precision}
        share = self.receipt.convolution_share or self.receipt.matmul_share
        unasked = {name: own for name, own in others.items() if name not in kept}
        computed = {*self.receipt.convolution_share, *self.receipt.matmul_share}
        if unasked or precision not in computed:
            raise ReceiptError(
                f"The engine is not what was asked for, {precision}",
                got=", ".join(f"{part:.1%} {name}" for name, part in share.items())
                + (f" ({_listed(unasked)})" if unasked and len(share) > 1 else ""),
                expected=f"100% of the convolutions in {precision}"
                + (", but for those in `kept`" if len(share) > 1 else ""),
                hint=f"convert the ONNX file first, with `precision='{precision}'`",
            )
        return others


def read_receipt(
    trt: Any,
    network: Any,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    shape: tuple[int, ...],
    tf32: bool,
) -> Reading:
    """Read the receipt off a parsed network, its inputs fixed to `shapes` meanwhile.

    Args:
        trt: the TensorRT module.
        network: as the parser made it.
        shapes: at which to count operations, of each of the network's inputs.
        shape: of the model's first input, to record; the network's may have one axis more.
        tf32: whether the builder may round to TF32.
    """
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    free = [tuple(tensor.shape) for tensor in inputs]
    for tensor in inputs:
        tensor.shape = shapes[tensor.name]
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    quantized = {
        layer.get_output(0).name: _type_name(layer.get_input(0).dtype)
        for layer in layers
        if layer.type == trt.LayerType.DEQUANTIZE
    }
    flops: dict[str, int] = defaultdict(int)
    products: dict[str, int] = defaultdict(int)
    types: dict[str, str] = {}
    casts = 0
    for layer in layers:
        if layer.type == trt.LayerType.CAST:
            ends = _type_name(layer.get_input(0).dtype), _type_name(layer.get_output(0).dtype)
            casts += ends[0] != ends[1] and set(ends) <= set(Precision)
        elif layer.type in (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION):
            types[layer.name] = _computes_in(layer, quantized)
            flops[types[layer.name]] += _convolution_flops(trt, layer)
        elif layer.type == trt.LayerType.MATRIX_MULTIPLY:
            products[_computes_in(layer, quantized)] += _product_flops(trt, layer)
    for tensor, own in zip(inputs, free, strict=True):
        tensor.shape = own
    receipt = Receipt(
        convolution_share=_shares(flops),
        convolution_flops=sum(flops.values()),
        shape=shape,
        convolutions=len(types),
        casts=casts,
        layers=len(layers),
        tf32=tf32,
        matmul_share=_shares(products),
    )
    return Reading(receipt, types)


def inspect_engine(trt: Any, engine: Any) -> Inspection:
    """Inspect an engine that the library has opened, which takes a GPU."""
    content = engine.create_engine_inspector().get_engine_information(
        trt.LayerInformationFormat.JSON
    )
    return read_inspection(content)


def read_inspection(content: str) -> Inspection:
    """Read the inspector's JSON: TensorRT 10's "Bindings", or 11's "I/O Tensors".

    Engines built without details list layers by name alone.

    >>> content = '{"Layers": ["conv + relu", "Reformatting CopyNode 0"], "Bindings": ["image"]}'
    >>> read_inspection(content)
    Inspection(layers=2, reformats=1, types={}, inputs_and_outputs=('image',))
    """
    read = read_engine_layers(content)
    moves = sum(layer.reformats for layer in read.layers)
    types: Counter[str] = Counter(
        layer.type for layer in read.layers if not layer.reformats and layer.type is not None
    )
    return Inspection(len(read.layers), moves, dict(types), read.tensors)


def _type_name(dtype: Any) -> str:
    name = str(dtype.name)
    return Precision.lookup("tensorrt", name) or name.lower()


def _computes_in(layer: Any, quantized: Mapping[str, str]) -> str:
    """Return the layer's type; a quantised one reads two dequantised tensors in its network."""
    sources = [layer.get_input(index).name for index in range(min(2, layer.num_inputs))]
    if len(sources) > 1 and all(name in quantized for name in sources):
        return quantized[sources[1]]
    return _type_name(layer.get_input(0).dtype)


def _convolution_flops(trt: Any, layer: Any) -> int:
    """Count 2 x positions x kernel x input channels x output channels / groups."""
    forward = layer.type == trt.LayerType.CONVOLUTION
    layer.__class__ = trt.IConvolutionLayer if forward else trt.IDeconvolutionLayer
    given, made = tuple(layer.get_input(0).shape), tuple(layer.get_output(0).shape)
    # A transposed convolution multiplies its kernel once for each input position.
    batch, _, *positions = made if forward else given
    kernel = prod(layer.kernel_size_nd)
    return _known(2 * batch * prod(positions) * kernel * given[1] * made[1] // layer.num_groups)


def _product_flops(trt: Any, layer: Any) -> int:
    """Count 2 x output elements x the axis summed over."""
    layer.__class__ = trt.IMatrixMultiplyLayer
    given = tuple(layer.get_input(0).shape)
    across = layer.op0 == trt.MatrixOperation.TRANSPOSE
    summed = given[-2 if across else -1]
    return _known(2 * prod(layer.get_output(0).shape) * summed)


def _known(flops: int) -> int:
    """Return at least 1: sizes that depend on the data read -1, and their layer still counts."""
    return max(flops, 1)


def _shares(flops: Mapping[str, int]) -> dict[str, float]:
    total = sum(flops.values())
    return {name: count / total for name, count in flops.items()}


def _listed(found: Mapping[str, str]) -> str:
    first = [f"{name}: {own}" for name, own in list(found.items())[:_NAMED]]
    more = len(found) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")

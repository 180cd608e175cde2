"""The precision receipt: what the network handed to the builder computes in, read back from it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from unetrt.errors import ReceiptError

__all__ = ["Receipt", "read_receipt"]

_TYPE_NAMES = {
    "FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "INT8": "int8", "FP8": "fp8", "INT4": "int4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an engine computes in.

    Attributes:
        convolution_share: share of the convolutions' floating-point operations in each type.
        convolution_flops: all of them, for one run at `shape`; a multiply-add counts twice.
        shape: the input at which they were counted.
        convolutions: how many layers that is, transposed ones included.
        casts: layers that change one floating-point type into another.
        layers: all layers of the network, before the builder fuses them.
        tf32: whether float32 convolutions were allowed to round their inputs to TF32.
    """

    convolution_share: dict[str, float]
    convolution_flops: int
    shape: tuple[int, ...]
    convolutions: int
    casts: int
    layers: int
    tf32: bool

    def check(self, precision: str) -> None:
        """Raise ReceiptError unless all convolutions compute in `precision`.

        An "FP16" engine that is FP32 is the worst bug of TensorRT 11's users: it builds with one
        warning and runs at a quarter of the speed.
        """
        if not self.convolution_share:
            raise ReceiptError("The engine's network has no convolution", expected="a U-Net")
        share = self.convolution_share.get(precision, 0.0)
        if share < 1:
            raise ReceiptError(
                f"The engine is not what was asked for, {precision}",
                got=", ".join(f"{s:.1%} {name}" for name, s in self.convolution_share.items()),
                expected=f"100% of the convolutions in {precision}",
                hint="convert the ONNX file's precision first: unetrt convert --precision",
            )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "shape": list(self.shape)}


def read_receipt(trt: Any, network: Any, shape: tuple[int, ...], *, tf32: bool) -> Receipt:
    """Read the receipt off a parsed network, its one input held at `shape` meanwhile."""
    tensor = network.get_input(0)
    free = tuple(tensor.shape)
    tensor.shape = shape
    flops: dict[str, int] = defaultdict(int)
    convolutions = casts = 0
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.CAST:
            types = _type_name(layer.get_input(0).dtype), _type_name(layer.get_output(0).dtype)
            casts += types[0] != types[1] and set(types) <= set(_TYPE_NAMES.values())
        elif layer.type in (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION):
            convolutions += 1
            flops[_type_name(layer.get_input(0).dtype)] += _flops(trt, layer)
    tensor.shape = free
    total = sum(flops.values())
    return Receipt(
        convolution_share={name: count / total for name, count in flops.items()},
        convolution_flops=total,
        shape=shape,
        convolutions=convolutions,
        casts=casts,
        layers=network.num_layers,
        tf32=tf32,
    )


def _type_name(dtype: Any) -> str:
    name = str(dtype.name)
    return _TYPE_NAMES.get(name, name.lower())


def _flops(trt: Any, layer: Any) -> int:
    """Count 2 x positions x kernel x input channels x output channels / groups."""
    forward = layer.type == trt.LayerType.CONVOLUTION
    layer.__class__ = trt.IConvolutionLayer if forward else trt.IDeconvolutionLayer
    given, made = tuple(layer.get_input(0).shape), tuple(layer.get_output(0).shape)
    # A transposed convolution multiplies its kernel once for each input position.
    batch, _, *positions = made if forward else given
    kernel = prod(layer.kernel_size_nd)
    return int(2 * batch * prod(positions) * kernel * given[1] * made[1] // layer.num_groups)

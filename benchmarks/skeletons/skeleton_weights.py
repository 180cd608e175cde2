"""The weights of a skeleton: which there are, and random ones that suit the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import ArtifactError

__all__ = ["Convolution", "Slot", "draw", "resize", "slots_of"]

_BIAS = 0.05
"""Deviation of the biases: small beside values of about 1, and not zero, so that none is lost."""

_LARGEST = 127
"""Of int8 when it is symmetric."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A weight that is wanted: an input of the skeleton, `data_type` in ONNX's numbers.

    `shape` is that of an ONNX kernel: [out, in / group, height, width], of a transposed
    convolution [in, out / group, height, width]; of all others [out].
    """

    name: str
    data_type: int
    shape: tuple[int, ...]


@dataclass(slots=True)
class Convolution:
    """A convolution's weights, and what tells how large they should be.

    Attributes:
        kernel, bias: as they are; the bias may be missing.
        scale, zero: of an int8 kernel, a value for each output channel, along `channel_axis`.
        transposed: whether it is one.
        taps_share: of the kernel's positions, how many meet in one output: 1 / stride ** 2 for a
            transposed convolution.
        gain: 2 where a ReLU follows, which halves the mean square; else 1.
    """

    kernel: Slot
    bias: Slot | None
    scale: Slot | None
    zero: Slot | None
    transposed: bool
    taps_share: float
    gain: float

    @property
    def channel_axis(self) -> int:
        """The kernel's axis of output channels."""
        return 1 if self.transposed else 0

    @property
    def slots(self) -> Iterator[tuple[str, Slot]]:
        """Those there are, by the attribute's name."""
        for part in ("kernel", "bias", "scale", "zero"):
            slot = getattr(self, part)
            if slot is not None:
                yield part, slot


def slots_of(graph: Any) -> list[Convolution]:
    """Return the convolutions of a skeleton's GraphProto, in its order.

    Raises:
        ArtifactError: an input besides the image is no weight of a convolution.
    """
    wanted = {value.name: _slot(value) for value in graph.input[1:]}
    made_by = {name: node for node in graph.node for name in node.output}
    with_relu = {name for node in graph.node if node.op_type == "Relu" for name in node.input}
    found = []
    for node in graph.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        source = made_by.get(node.input[1])
        kernel = node.input[1:2] if source is None else source.input  # of a DequantizeLinear
        transposed = node.op_type == "ConvTranspose"
        strides = next((list(a.ints) for a in node.attribute if a.name == "strides"), [1])
        slots = [wanted.pop(name) for name in kernel]
        found.append(
            Convolution(
                kernel=slots[0],
                bias=wanted.pop(node.input[2]) if len(node.input) > 2 else None,  # noqa: PLR2004
                scale=slots[1] if source is not None else None,
                zero=slots[2] if source is not None else None,
                transposed=transposed,
                taps_share=1 / prod(strides) if transposed else 1.0,
                gain=2.0 if node.output[0] in with_relu else 1.0,
            )
        )
    if wanted or not found:
        raise ArtifactError(
            "The skeleton wants other weights than those of convolutions",
            got=", ".join(wanted) or "no convolution",
            hint="write the skeletons again: python -m unetrt.benchmarks.jobs.skeleton",
        )
    return found


def resize(found: Sequence[Convolution], *, channels: int, n_classes: int) -> None:
    """Let the first convolution read so many channels and the last give so many classes."""
    first, last = found[0], found[-1]
    first.kernel = _with_axis(first.kernel, 0 if first.transposed else 1, channels)
    for part, slot in list(last.slots):
        axis = last.channel_axis if part == "kernel" else 0
        setattr(last, part, _with_axis(slot, axis, n_classes))


def draw(
    found: Sequence[Convolution], *, seed: int, pixel_scale: float
) -> Iterator[tuple[Slot, NDArray[Any]]]:
    """Yield each weight with its values, in float32, or int8 where it is quantised.

    The kernels are normal with a variance of gain / fan-in (He et al., 2015, "Delving Deep into
    Rectifiers"); the first is divided by `pixel_scale`, the size of what it reads.
    """
    random = np.random.default_rng(seed)
    for number, one in enumerate(found):
        shape = one.kernel.shape
        fan_in = prod(shape) / shape[one.channel_axis] * one.taps_share
        deviation = (one.gain / fan_in) ** 0.5 / (pixel_scale if number == 0 else 1.0)
        kernel = random.standard_normal(shape, np.float32)
        kernel *= np.float32(deviation)
        if one.scale is None or one.zero is None:
            yield one.kernel, kernel
        else:
            yield from _quantized(one, one.scale, one.zero, kernel)
        if one.bias is not None:
            yield one.bias, random.standard_normal(one.bias.shape, np.float32) * np.float32(_BIAS)


def _quantized(
    one: Convolution, scale: Slot, zero: Slot, kernel: NDArray[np.float32]
) -> Iterator[tuple[Slot, NDArray[Any]]]:
    """Yield a kernel's int8 steps, symmetric for each output channel, their scales and zeros."""
    others = tuple(axis for axis in range(kernel.ndim) if axis != one.channel_axis)
    step = np.abs(kernel).max(axis=others, keepdims=True) / np.float32(_LARGEST)
    steps = np.clip(np.rint(kernel / step), -_LARGEST, _LARGEST).astype(np.int8)
    yield one.kernel, steps
    yield scale, step.reshape(scale.shape)
    yield zero, np.zeros(zero.shape, np.int8)


def _slot(value: Any) -> Slot:
    tensor = value.type.tensor_type
    return Slot(value.name, tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim))


def _with_axis(slot: Slot, axis: int, size: int) -> Slot:
    shape = (*slot.shape[:axis], size, *slot.shape[axis + 1 :])
    return Slot(slot.name, slot.data_type, shape)

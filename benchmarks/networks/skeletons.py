"""Fill networks that ship without weights with random ones that suit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, BadInput, ShapeError
from unetrt.files import sha256_of
from unetrt.onnx_weights import append_initializer
from unetrt.sizes import ReceptiveField, SizeRule
from unetrt.tensors import TensorSpec

__all__ = ["ABOUT", "CARRIED", "FOLDER", "fill_skeleton", "skeletons"]

_BIAS = 0.05
"""Deviation of the biases: small beside values of about 1, and not zero, so that none is lost."""

_LARGEST = 127
"""The largest int8 where it is symmetric."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Describe a weight that a skeleton lacks.

    Attributes:
        name: of the skeleton's input.
        data_type: in ONNX's numbers.
        shape: of a kernel [out, in / group, height, width], of a transposed convolution
            [in, out / group, height, width]; of all others [out].
    """

    name: str
    data_type: int
    shape: tuple[int, ...]


@dataclass(slots=True)
class Convolution:
    """Describe a convolution's weights, and what tells how large they should be.

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
        """Return the kernel's axis of output channels."""
        return 1 if self.transposed else 0

    @property
    def slots(self) -> Iterator[tuple[str, Slot]]:
        """Yield those there are, by the attribute's name."""
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
            hint="write the skeletons again: python scripts/write_skeletons.py",
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


FOLDER = Path(__file__).parent
"""Holds NETWORK.PRECISION.onnx."""

ABOUT = "unetrt.skeleton"
"""Key in a skeleton's metadata of what the sidecar of a filled one says, as JSON."""

CARRIED = ("precision", "bytes_per_pixel")
"""Fields of OnnxModel that the filled network takes over from a skeleton."""


def skeletons() -> dict[str, tuple[str, ...]]:
    """Return the networks there are, each with its precisions.

    >>> skeletons()["article"]
    ('bf16', 'fp16', 'fp32', 'int8')
    """
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted(FOLDER.glob("*.*.onnx")):
        network, precision, _ = file.name.split(".")
        found[network] = (*found.get(network, ()), precision)
    return found


def fill_skeleton(
    name: str,
    path: Path,
    *,
    precision: str = "fp32",
    height: int | None = None,
    width: int | None = None,
    channels: int = 1,
    n_classes: int = 2,
    seed: int = 0,
) -> OnnxModel:
    """Write a network with random weights as an ONNX file with its sidecar.

    Input: float32 [batch, height, width, channels], pixels of 0 to 255. Output: float32
    probabilities [batch, height, width, n_classes], less the margin of a network without padding.
    The weights of one seed are the same in every precision, but for its rounding: He-normal, so
    that values keep their size from layer to layer and stay far inside of float16's range.

    Args:
        name: of `skeletons`: "article", "paper" or "small".
        path: of the file.
        precision: of `skeletons`.
        height: in pixels; free if None, as the batch always is.
        width: likewise.
        channels: of the pixels.
        n_classes: background included.
        seed: of the weights.

    Raises:
        BadInput: no such network or precision; fewer than one channel or two classes.
        ShapeError: a side that the network cannot halve.
        ArtifactError: the skeleton is not what unetrt wrote.
        MissingDependency: onnx is not installed.
        OutputError: `path` cannot be written.

    Example:
        >>> fill_skeleton("small", Path("small.onnx"), height=64, width=64).outputs[0].shape
        ('batch', 64, 64, 2)
    """
    source = _find(name, precision)
    if channels < 1 or n_classes < 2:  # noqa: PLR2004
        raise BadInput(
            f"Cannot fill the skeleton {name}",
            got=f"{channels} channels and {n_classes} classes",
            expected="at least one channel and two classes",
        )
    onnx = vendor.onnx()
    model, about = _read(source)
    sizes = SizeRule(**about["sizes"])
    for axis, side in (("height", height), ("width", width)):
        if side is not None and not sizes.fits(side):
            raise ShapeError(
                f"The network {name} cannot halve this {axis}",
                got=side,
                expected=str(sizes),
                hint="the nearest that work: " + " and ".join(map(str, sizes.nearest(side))),
            )
    (image, output), slots = _ends(model.graph), slots_of(model.graph)
    resize(slots, channels=channels, n_classes=n_classes)
    _set_shape(image, (height, width, channels))
    inner = (None if side is None else side - 2 * sizes.margin for side in (height, width))
    _set_shape(output, (*inner, n_classes))
    del model.graph.input[1:], model.metadata_props[:]

    def content(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(model.SerializeToString())
            for slot, array in draw(slots, seed=seed, pixel_scale=about["pixel_scale"]):
                _append(onnx, file, slot, array)

    return OnnxModel.write(
        path,
        content,
        classes=("background", *(f"class{k}" for k in range(1, n_classes))),
        sizes=sizes,
        source={"file": source.name, "sha256": sha256_of(source)},
        made_with=about["made_with"]
        | {"seed": seed, "channels": channels, "unetrt": vendor.version("unetrt")},
        inputs=(_tensor_spec(onnx, image, about["layout"]),),
        outputs=(_tensor_spec(onnx, output, about["layout"]),),
        receptive_field=ReceptiveField.from_json(about["receptive_field"]),
        kept=tuple(about["kept"]),
        **{field: about[field] for field in CARRIED},
    )


def _find(name: str, precision: str) -> Path:
    there = skeletons()
    if name not in there:
        raise BadInput("There is no such network", got=repr(name), expected=" or ".join(there))
    if precision not in there[name]:
        raise BadInput(
            f"There is no skeleton of the network {name} in this precision",
            got=repr(precision),
            expected=" or ".join(there[name]),
        )
    return FOLDER / f"{name}.{precision}.onnx"


def _read(source: Path) -> tuple[Any, Mapping[str, Any]]:
    try:
        model = vendor.onnx().load(source)
        said = {entry.key: entry.value for entry in model.metadata_props}
        about: dict[str, Any] = json.loads(said[ABOUT])
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(
            f"Cannot read the skeleton {source}", got=repr(error), expected="what unetrt wrote"
        ) from error
    return model, about


def _ends(graph: Any) -> tuple[Any, Any]:
    """Return image and output; all inputs after the first are weights."""
    return graph.input[0], graph.output[0]


def _set_shape(value: Any, sizes: tuple[int | None, ...]) -> None:
    """Set the axes behind the batch; None leaves one as it is."""
    for dimension, size in zip(value.type.tensor_type.shape.dim[1:], sizes, strict=True):
        if size is not None:
            dimension.dim_value = size


def _tensor_spec(onnx: Any, value: Any, layout: str) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(value.name, dtype, shape, layout)


def _append(onnx: Any, file: Any, slot: Slot, array: Any) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(slot.data_type)
    append_initializer(file, slot.name, slot.data_type, array.astype(dtype, copy=False))

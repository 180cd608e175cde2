"""Networks without their weights, shipped with the benchmarks, and filled from a seed.

A skeleton is a valid ONNX graph of a few kilobytes whose weights are inputs, of a name, a type and
a shape. There is one for each network and precision, since what changes a graph's precision is
convert's; `python -m unetrt.benchmarks.jobs.skeleton` writes them, and wants TensorFlow. To fill
one takes onnx and NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, BadInput, ShapeError
from unetrt.files import sha256_of
from unetrt.onnx_weights import append_initializer
from unetrt.sizes import ReceptiveField, SizeRule
from unetrt.tensors import TensorSpec

from .skeleton_weights import Slot, draw, resize, slots_of

__all__ = ["ABOUT", "CARRIED", "FOLDER", "fill_skeleton", "skeletons"]

FOLDER = Path(__file__).parent
"""Holds NETWORK.PRECISION.onnx."""

ABOUT = "unetrt.skeleton"
"""The key in a skeleton's metadata: what the sidecar of a filled one says, as JSON."""

CARRIED = ("layout", "precision", "bytes_per_pixel")
"""Fields of OnnxModel that a skeleton says and the filled network takes over."""


def skeletons() -> dict[str, tuple[str, ...]]:
    """Return the networks there are, each with its precisions."""
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
    """Write the network `name` to `path`, with random weights, as an ONNX file with its sidecar.

    Input: float32 [batch, height, width, channels], pixels of 0 to 255. Output: float32
    probabilities [batch, height, width, n_classes], less the margin of a network without padding.
    Height and width are free where they are None; batch always is. The weights of one seed are
    the same in every precision, but for its rounding: He-normal, so that values keep their size
    from layer to layer and stay far inside of float16's range.

    Raises:
        BadInput: no such network or precision; fewer than one channel or two classes.
        ShapeError: a side that the network cannot halve.
        ArtifactError: the skeleton is not what unetrt wrote.
        MissingDependency: onnx is not installed.
        OutputError: `path` cannot be written.
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
    (image, answer), slots = _ends(model.graph), slots_of(model.graph)
    resize(slots, channels=channels, n_classes=n_classes)
    _set_shape(image, (height, width, channels))
    inner = (None if side is None else side - 2 * sizes.margin for side in (height, width))
    _set_shape(answer, (*inner, n_classes))
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
        inputs=(_tensor_spec(onnx, image),),
        outputs=(_tensor_spec(onnx, answer),),
        receptive_field=ReceptiveField.from_json(about["receptive_field"]),
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
    """Return the image and the answer; all inputs after the first are weights."""
    return graph.input[0], graph.output[0]


def _set_shape(value: Any, sizes: tuple[int | None, ...]) -> None:
    """Set the axes behind the batch; None leaves one as it is."""
    for dimension, size in zip(value.type.tensor_type.shape.dim[1:], sizes, strict=True):
        if size is not None:
            dimension.dim_value = size


def _tensor_spec(onnx: Any, value: Any) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
    return TensorSpec(
        value.name, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, shape
    )


def _append(onnx: Any, file: Any, slot: Slot, array: Any) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(slot.data_type)
    append_initializer(file, slot.name, slot.data_type, array.astype(dtype, copy=False))

"""Retype networks to another precision, which lives in the graph."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import (
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
    ShapeInferencePass,
)

from unetrt import vendor
from unetrt.artifacts import OnnxModel, sidecar_of
from unetrt.data import load_dataset
from unetrt.errors import BadInput, UnsupportedModel
from unetrt.files import refuse_overwriting
from unetrt.precision import Precision

from .activations import Activations
from .calibration import CalibrationData, clips, feeds_of
from .onnx_file import read_graph, write_onnx
from .passes.nodes import constant_of
from .passes.quantize import Quantize
from .passes.round_bfloat16 import RoundBfloat16
from .passes.to_half import COMPUTES, ToHalf

__all__ = ["PRECISIONS", "PrecisionSpec", "simulate_bfloat16", "to_precision"]

PRECISIONS = (Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8)
"""The precisions that a float32 file can be retyped to."""

_RESTS = (Precision.FP32, Precision.FP16)

_BFLOAT16_OPSET = 22
"""The first in which convolutions and pooling may be bfloat16."""

_HALF_SCALES_OPSET = 19
"""The first in which QuantizeLinear takes float16."""

_FLOAT16_LIMIT = 65504 / 2
"""Half of float16's largest: other images than those looked at may go further."""

_NAMED = 8
"""Values that an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionSpec:
    """Choose the type that a network computes in, and the nodes that stay in float32.

    Attributes:
        precision: "fp32" (a copy), "fp16", "bf16" or "int8".
        keep: names of nodes that stay in float32, or patterns of names, as in a shell, besides
            those that always do, see `ToHalf`; of an int8 network, the first convolutions
            and all transposed ones are not quantised either.
        rest: type of the nodes of an int8 network that are not quantised, "fp32" or "fp16".
        images: largest number of calibration images to run.

    Raises:
        BadInput: a choice that is unknown, or that the precision does not have.

    >>> PrecisionSpec(precision="int8", keep=("logits", "up*")).rest
    'fp32'
    """

    precision: str = "fp16"
    keep: tuple[str, ...] = ()
    rest: str = "fp32"
    images: int = 32

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise BadInput(
                "Cannot convert the precision",
                got=self.precision,
                expected=" or ".join((", ".join(PRECISIONS[:-1]), PRECISIONS[-1])),
            )
        if self.rest not in _RESTS:
            raise BadInput(
                "Cannot leave the rest in this", got=self.rest, expected=" or ".join(_RESTS)
            )
        if self.rest != Precision.FP32 and self.precision != Precision.INT8:
            raise BadInput(f"Only int8 leaves a rest, {self.precision} does not", got=self.rest)
        if self.keep and self.precision == Precision.FP32:
            raise BadInput("fp32 keeps every layer in float32", got=f"keep {', '.join(self.keep)}")
        if self.images < 1:
            raise BadInput("Cannot look at so few images", got=self.images, expected="at least 1")


def to_precision(
    model: OnnxModel | str | Path,
    path: str | Path,
    spec: PrecisionSpec | None = None,
    *,
    data: CalibrationData | str | Path | None = None,
    source: dict[str, Any] | None = None,
) -> OnnxModel:
    """Write `model` to `path` in another precision; its inputs and outputs stay as they are.

    Since TensorRT 11 an engine computes in the types its graph has, and in no others.

    Args:
        model: a float32 ONNX file, or its path.
        path: the file to write; its name ends in .onnx.
        spec: the precision; by default float16.
        data: real images, or a folder of images/ and labels/: int8 takes its ranges from them,
            float16 is checked for overflow on them.
        source: the origin to record where `model` is only a step on the way; by default `model`.

    Raises:
        BadInput: `model` is not float32; int8 without data; a pattern that matches no layer.
        DataError: the data cannot be used; see `feeds_of`.
        ShapeError: an array of the data does not fit its input.
        UnsupportedModel: weights, or values on these images, do not fit float16 (names the layers
            to keep); or nothing in the model computes in the type.
        OutputError: `path` is a file of `model`, or cannot be written.

    >>> from pathlib import Path
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> half = to_precision(model, Path("half.onnx"), PrecisionSpec(keep=("logits",)))
    >>> str(half.precision), half.kept, half.inputs == model.inputs
    ('fp16', ('logits',), True)
    """
    spec, path, model = spec or PrecisionSpec(), Path(path), OnnxModel.of(model)
    refuse_overwriting([path, sidecar_of(path)], model.files)
    wanted = Precision.of(spec.precision)
    quantize = wanted == Precision.INT8
    if path.suffix != ".onnx":
        raise BadInput(f"Cannot write {path}", expected="a name ending in .onnx")
    if model.precision != Precision.FP32:
        raise BadInput(f"Cannot retype {model.path}", got=model.precision, expected="fp32")
    if quantize and data is None:
        raise BadInput(
            f"Cannot quantise {model.path} without images",
            expected="real ones, to take the ranges of its layers from",
            hint="give them with `data`",
        )
    floating = Precision.of(spec.rest) if quantize else wanted
    images = load_dataset(data) if isinstance(data, (str, Path)) else data
    graph = _read(model, _opset_for(floating, quantize=quantize), wanted)
    keep = _matching(spec.keep, [node.name for node in graph.graph])
    feeds = []
    if images is not None and wanted != Precision.FP32:
        feeds = feeds_of(model, images, spec.images)
    targets = _quantizable(graph.graph, keep) if quantize else {}
    ranges = clips(model.path, feeds, targets.values()) if targets else {}
    if floating != Precision.FP32:
        typed = ToHalf(floating, keep)
        typed(graph)
        if floating == Precision.FP16 and feeds:
            _check_float16(model.path, feeds, typed.users, typed.fillers)
    Quantize({node: ranges[value] for node, value in targets.items()})(graph)
    RemoveUnusedNodesPass()(graph)
    kept = tuple(_kept(model, graph.graph, wanted, targets))
    made_with = {
        "spec": asdict(spec),
        "images": len(feeds),
        **{name: vendor.version(name) for name in ("onnx-ir", "unetrt")},
    }
    return _write_like(
        model,
        graph,
        path,
        source=source or model.as_source,
        made_with=made_with,
        precision=wanted,
        kept=kept,
    )


def simulate_bfloat16(model: OnnxModel, path: Path) -> OnnxModel:
    """Write a float32 file that rounds to bfloat16 wherever `model` would.

    ONNX Runtime has no bfloat16 convolution for the CPU. The simulation runs there, slower than
    float32, and shows the effect of bfloat16 on the outputs; it is for checking, not for engines.

    Raises:
        BadInput: `model` is not bfloat16.

    >>> from pathlib import Path
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> half = to_precision(model, Path("half.onnx"), PrecisionSpec(precision="bf16"))
    >>> simulate_bfloat16(half, Path("simulated.onnx")).inputs[0].dtype
    'float32'
    """
    if model.precision != Precision.BF16:
        raise BadInput(f"Cannot simulate bfloat16 with {model.path}", got=model.precision)
    graph = read_graph(model)
    RoundBfloat16()(graph)
    return _write_like(
        model,
        graph,
        path,
        source=model.as_source,
        made_with=model.made_with,
        precision=model.precision,
        kept=model.kept,
        simulated=True,
    )


def _write_like(model: OnnxModel, graph: ir.Model, path: Path, **fields: Any) -> OnnxModel:
    """Write another form of `model`: same classes, sizes, normalisation, layout, golden sample."""
    return write_onnx(
        graph,
        path,
        layout=model.layout,
        classes=model.classes,
        sizes=model.sizes,
        golden=model.golden,
        normalization=model.normalization,
        **fields,
    )


def _quantizable(graph: ir.Graph, keep: Collection[str]) -> dict[str, str]:
    """Return the names of the convolutions to quantise, each with the name of its input.

    Not quantised are transposed convolutions, whose int8 TensorRT does not fuse (TensorRT issue
    2597); the first convolutions, which read the pixels; those named in `keep`; and those whose
    kernel is no constant. On the demo's brain network, quantising the first convolution too took
    the largest change of a Dice from 0.0009 to 0.0017; the last one made no difference.
    """
    nodes = list(graph)
    after: set[ir.Value] = set()
    follows: set[ir.Node] = set()
    for node in nodes:
        readers = ir.traversal.RecursiveGraphIterator([node])
        if any(not after.isdisjoint(reader.inputs) for reader in readers):
            follows.add(node)
        if node in follows or node.op_type in COMPUTES:
            after.update(node.outputs)
    return {
        node.name: node.inputs[0].name
        for node in nodes
        if node.op_type == "Conv"
        and node.name not in keep
        and node in follows
        and node.inputs[0].dtype == ir.DataType.FLOAT
        and constant_of(node.inputs[1]) is not None
    }


def _matching(patterns: Iterable[str], names: Collection[str]) -> frozenset[str]:
    """Return the names that match a pattern: with `*`, `?` and `[...]`, or to the letter."""
    found: set[str] = set()
    for pattern in patterns:
        matched = {name for name in names if name == pattern or fnmatchcase(name, pattern)}
        if not matched:
            close = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4)
            raise BadInput(
                "No layer has the name that is to be kept",
                got=repr(pattern),
                hint=f"close to it are {', '.join(close)}"
                if close
                else f"the layers are {', '.join(sorted(names)[:5])} and so on",
            )
        found |= matched
    return frozenset(found)


def _opset_for(floating: Precision, *, quantize: bool) -> int:
    """Return the oldest opset that has the types."""
    if floating == Precision.BF16:
        return _BFLOAT16_OPSET
    return _HALF_SCALES_OPSET if floating == Precision.FP16 and quantize else 0


def _read(model: OnnxModel, opset: int, precision: Precision) -> ir.Model:
    """Load the graph whole, in `opset` or newer, every node with a name."""
    graph = read_graph(model)
    ir.external_data.load_to_model(graph)
    if graph.opset_imports[""] < opset:
        from onnxscript.version_converter import convert_version  # noqa: PLC0415  (0.2 s)

        # It logs which of its two converters runs, which is of no use here.
        logging.getLogger("onnxscript.version_converter").setLevel(logging.ERROR)
        convert_version(graph, opset, fallback=True)
    if graph.opset_imports[""] < opset:
        raise UnsupportedModel(
            f"Cannot bring {model.path} to the operators that {precision} needs",
            got=f"opset {graph.opset_imports['']}",
            expected=f"opset {opset}",
            hint="export it in that opset",
        )
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(graph)
    ShapeInferencePass()(graph)
    taken = {node.name for node in graph.graph}
    for number, node in enumerate(graph.graph):
        if not node.name:
            node.name = f"{node.op_type}_{number}"
            while node.name in taken:
                node.name += "_"
    return graph


def _kept(
    model: OnnxModel, graph: ir.Graph, wanted: Precision, targets: Collection[str]
) -> list[str]:
    """Return the convolutions and products that compute in another type than asked for."""
    if wanted == Precision.FP32:
        return []
    computes = [node for node in graph if node.op_type in COMPUTES]
    if wanted == Precision.INT8:
        kept = [node.name for node in computes if node.name not in targets]
    else:
        half = ir.DataType[wanted.onnx]
        kept = [node.name for node in computes if node.inputs[0].dtype != half]
    if len(kept) == len(computes):
        raise UnsupportedModel(
            f"Nothing in {model.path} would compute in {wanted}",
            got=f"{len(computes)} convolutions and matrix products, none of which can"
            if computes
            else "no convolution and no matrix product",
            hint="keep fewer layers, or choose another precision",
        )
    return kept


def _check_float16(
    path: Path,
    feeds: Iterable[Mapping[str, NDArray[Any]]],
    users: Mapping[str, list[str]],
    fillers: Collection[float],
) -> None:
    """Run a float32 file, and refuse values that would leave float16's range.

    `users` and `fillers` are those of `ToHalf`; fillers do not count.
    """
    activations = Activations(path, users)
    largest = dict.fromkeys(users, 0.0)
    for feed in feeds:
        for name, array in activations.run(feed):
            magnitudes = np.abs(array)
            if fillers:
                magnitudes = magnitudes[~np.isin(magnitudes, list(fillers))]
            if magnitudes.size:
                # np.maximum, not max: it keeps a NaN.
                largest[name] = float(np.maximum(largest[name], magnitudes.max()))
    beyond = {name: value for name, value in largest.items() if not value <= _FLOAT16_LIMIT}
    if not beyond:
        return
    layers = list(dict.fromkeys(node for name in beyond for node in users[name]))
    found = [f"{name} reaches {value:.3g}" for name, value in list(beyond.items())[:_NAMED]]
    more = f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
    raise UnsupportedModel(
        f"{path} does not fit float16 on these images",
        got=", ".join(found) + more,
        expected=f"at most {_FLOAT16_LIMIT:.0f}, half of float16's largest, as other images may go "
        "further",
        hint=f"keep these layers in float32, or choose bf16: `keep={tuple(layers)}`",
    )

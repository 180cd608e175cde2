"""Convert Keras models to ONNX: trace with the weights as inputs, bind them, clean the graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import tensorflow as tf
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from unetrt import vendor
from unetrt.artifacts import KerasFile, OnnxModel, sidecar_of
from unetrt.errors import BadInput, UnsupportedModel
from unetrt.files import refuse_overwriting
from unetrt.golden import GoldenOutput, GoldenSample, draw_grid
from unetrt.keras_models import size_rule
from unetrt.normalization import Normalization
from unetrt.precision import Precision
from unetrt.sizes import SizeRule
from unetrt.tensors import LAYOUTS

from .dynamic_sizes import trace_free
from .export import ExportSpec
from .keras_source import keras_source
from .onnx_file import write_onnx
from .passes.edges_to_nchw import EdgesToNchw
from .passes.free_axes import NameBatch
from .passes.integer_input import IntegerInput
from .passes.label_output import LabelOutput
from .passes.nodes import is_image
from .trace import Source

__all__ = ["export_onnx"]

_TRACED_OPSET = 18
"""The newest that tf2onnx writes; a newer one is made of it."""

_MOST_CHANNELS = 16
_LEAST_SIDE = 16


def export_onnx(
    model: keras.Model | Source,
    path: Path,
    spec: ExportSpec | None = None,
    *,
    origin: KerasFile | None = None,
) -> OnnxModel:
    """Write `model` to `path` as ONNX, height and width free where they can be.

    Inputs, outputs and nodes bear the names of Keras' layers. Weights over 2 GiB go into
    a file beside it. Classes of unknown names are numbered.

    Args:
        model: a Keras model, or a SavedModel from `read_saved_model(folder)`.
        path: the file to write.
        spec: the form of the file; by default float32 NHWC in, probabilities out.
        origin: the file that the model was read from; its classes, normalisation, training
            and checksum travel on.

    Raises:
        BadInput: whole numbers for pixels that are normalised before they go in.
        UnsupportedModel: the model was never built, has a free axis that is neither batch, height
            nor width, or a layer that tf2onnx cannot convert.
        OutputError: `path` is a file of `origin`, or cannot be written.

    >>> from unetrt.keras_models import load_model
    >>> model, origin = load_model(Path("model.keras"))
    >>> written = export_onnx(model, Path("small.onnx"), ExportSpec(pixels="uint8"), origin=origin)
    >>> str(written.inputs[0]), written.classes
    ('uint8[batch, height, width, 1]', ('background', 'disc'))
    """
    refuse_overwriting([path, sidecar_of(path)], origin.files if origin else ())
    spec = spec or ExportSpec()
    source = keras_source(model) if isinstance(model, keras.Model) else model
    normalization = origin.normalization if origin else None
    if normalization is not None:
        _check_pixels(spec, source)
    graph, sizes = _traced(model, source, spec, origin.sizes if origin else SizeRule())
    scale = _pixel_scale(source, normalization, whole_numbers=spec.pixels != "float32")
    golden = _golden_sample(source, graph, sizes, scale)
    classes = origin.classes if origin is not None and origin.classes else _numbered_classes(graph)
    for rewrite in (NameBatch(), *_edges(spec), ShapeInferencePass()):
        rewrite(graph)
    _raise_opset(graph, spec.opset)
    made_with = {
        "spec": asdict(spec),
        **{name: vendor.version(name) for name in ("keras", "tensorflow", "tf2onnx", "unetrt")},
    }
    weights_sha256 = _sha256_of(source.weights)
    training = origin.made_with if origin else {}
    return write_onnx(
        graph,
        path,
        about={"normalization": source.normalization, "training": training},
        classes=classes,
        sizes=sizes,
        source=origin.as_source if origin else {"model": source.name, "sha256": weights_sha256},
        made_with=made_with | {"weights_sha256": weights_sha256},
        precision=Precision.FP32,
        layout=spec.layout,
        golden=golden,
        normalization=normalization,
    )


def _check_pixels(spec: ExportSpec, source: Source) -> None:
    """Refuse whole numbers for a network whose pixels are normalised before they go in."""
    types = (spec.pixels, *(tensor.dtype for tensor in source.inputs))
    whole = [dtype for dtype in types if "int" in dtype]
    if whole:
        raise BadInput(
            f"The network {source.name!r} takes pixels that are normalised by each file's own",
            got=f"{whole[0]} pixels",
            expected="float32",
            hint="a session takes images of any type and normalises them itself",
        )


def _pixel_scale(
    source: Source, normalization: Normalization | None, *, whole_numbers: bool
) -> float:
    """Return what to multiply 0 to 255 by, for pixels such as the model was made for.

    Others would be rounded more coarsely than its precision tells. They are four deviations at
    most where a file's pixels are normalised first, 0 to 255 where the model itself does that or
    the graph takes `whole_numbers`, else 0 to 1.
    """
    if normalization is not None:
        return 4 / 256
    whole = whole_numbers or source.normalization or "int" in source.inputs[0].dtype
    return 1.0 if whole else 1 / 256


def _traced(
    model: keras.Model | Source, source: Source, spec: ExportSpec, rule: SizeRule
) -> tuple[ir.Model, SizeRule]:
    """Trace at the size asked for, or at the next that the model takes."""
    opset = min(spec.opset, _TRACED_OPSET)
    height, width = map(rule.at_least, spec.size)
    try:
        return trace_free(source, opset, (height, width))
    except UnsupportedModel:
        # An unpadded network from elsewhere takes few sizes; to find them takes a second.
        with suppress(UnsupportedModel, AttributeError, ValueError):
            rule = size_rule(model)
        fitting = rule.at_least(spec.size[0]), rule.at_least(spec.size[1])
        if fitting == (height, width):
            raise
        return trace_free(source, opset, fitting)


def _golden_sample(
    source: Source, graph: ir.Model, sizes: SizeRule, scale: float
) -> GoldenSample | None:
    """Return a picture of a small size that model and graph take, and the model's own outputs.

    The deepest level of a network that pads is two pixels wide then: a mean over one says nothing.
    None where a network takes more than images, of more channels than a sidecar should hold, or
    images of several sizes, or where its own outputs are not finite.
    """
    shapes = [value.shape for value in graph.graph.inputs]
    channels = [tensor.channels if tensor.is_image else None for tensor in source.inputs]
    if not all(isinstance(count, int) and count <= _MOST_CHANNELS for count in channels):
        return None
    small = sizes.at_least(max(2 * sizes.multiple, _LEAST_SIDE) + 2 * sizes.margin)
    wanted = {
        tuple(
            next((side for side in pair if isinstance(side, int)), small)
            for pair in zip(tensor.sides(shape), tensor.sides(), strict=True)
        )
        for shape, tensor in zip(shapes, source.inputs, strict=True)
    }
    if len(wanted) != 1:
        return None
    height, width = wanted.pop()
    grids = {t.name: draw_grid(int(t.channels), k) for k, t in enumerate(source.inputs)}
    golden = GoldenSample(height, width, scale, grids, {})
    vendor.tensorflow_without_tf32()  # a reference must not round
    images = [tf.constant(golden.feed(t.name, t.dtype)) for t in source.inputs]
    try:
        outputs = [np.asarray(y) for y in source.predict(*images)]
    except Exception:  # noqa: BLE001  (a model that can be traced alone still has its ONNX file)
        return None
    if not all(np.isfinite(y).all() for y in outputs):
        return None
    kept = dict(zip(source.output_names, map(GoldenOutput.sample, outputs), strict=True))
    return replace(golden, outputs=kept)


def _numbered_classes(graph: ir.Model) -> tuple[str, ...]:
    """Return names for the classes of the one image put out; none where there are more."""
    outputs = list(graph.graph.outputs)
    if len(outputs) != 1 or not is_image(outputs[0]):
        return ()
    channels = outputs[0].shape[3]
    count = max(2, channels) if isinstance(channels, int) else 0  # one channel is a sigmoid's
    return ("background", *(f"class{k}" for k in range(1, count)))


def _edges(spec: ExportSpec) -> list[ir.passes.InPlacePass]:
    """Return the passes that give the graph the inputs and outputs asked for."""
    wanted: list[ir.passes.InPlacePass] = []
    if spec.pixels != "float32":
        wanted.append(IntegerInput(ir.DataType.from_numpy(np.dtype(spec.pixels))))
    if spec.outputs != "probabilities":
        wanted.append(LabelOutput(only=spec.outputs == "labels"))
    if spec.layout != LAYOUTS[0]:  # Keras'
        wanted.append(EdgesToNchw())
    return wanted


def _raise_opset(graph: ir.Model, opset: int) -> None:
    if opset <= graph.opset_imports[""]:
        return
    from onnxscript.version_converter import convert_version  # noqa: PLC0415  (0.2 s, seldom)

    convert_version(graph, opset)
    if graph.opset_imports[""] != opset:
        raise UnsupportedModel(
            f"Cannot bring the model {graph.graph.name!r} to the opset",
            got=graph.opset_imports[""],
            expected=opset,
            hint="choose an older `opset`",
        )


def _sha256_of(weights: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in weights.values():
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

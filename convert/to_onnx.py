"""Keras to ONNX: trace with the weights as inputs, bind them afterwards, clean the graph."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass
from onnxscript.version_converter import convert_version

from unetrt import vendor
from unetrt.artifacts import KerasFile, OnnxModel

from . import passes
from .export_spec import ExportSpec
from .onnx_file import write_onnx
from .tracing.keras_source import keras_source
from .tracing.size_multiple import size_multiple
from .tracing.trace import Source, trace
from .tracing.twins import are_twins

__all__ = ["ExportSpec", "export_onnx"]

_TRACED_OPSET = 18
"""The newest that tf2onnx writes; a newer one is made of it."""

_STEP = 128
"""By how much a second trace is larger: still halved seven times."""

_PIXELS = {"uint8": ir.DataType.UINT8, "uint16": ir.DataType.UINT16}


def export_onnx(
    model: keras.Model | Source,
    path: Path,
    spec: ExportSpec | None = None,
    *,
    origin: KerasFile | None = None,
) -> OnnxModel:
    """Write `model` to `path` as ONNX, height and width free where they can be.

    Inputs, outputs and nodes bear the names of Keras' layers. Weights over 2 GiB go into
    `NAME.onnx.data` beside it. `origin` is the file the model was read from: its classes, its
    training and its checksum travel on. A SavedModel comes from `read_saved_model(folder)`.
    Classes of unknown names are numbered.

    Raises:
        UnsupportedModel: see `read_signature`; or a layer that tf2onnx cannot convert.
        OutputError: `path` cannot be written.
    """
    spec = spec or ExportSpec()
    source = keras_source(model) if isinstance(model, keras.Model) else model
    graph = _traced(source, spec)
    if _is_free(source, graph, spec):
        passes.FreeAxes()(graph)
    classes = origin.classes if origin is not None and origin.classes else _numbered(graph)
    passes.Sequential(passes.NameBatch(), *_edges(spec), ShapeInferencePass())(graph)
    if spec.opset > _TRACED_OPSET:
        convert_version(graph, spec.opset)
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
        size_multiple=size_multiple(graph),
        source=origin.as_source if origin else {"model": source.name, "sha256": weights_sha256},
        made_with=made_with | {"weights_sha256": weights_sha256},
        precision="fp32",
        layout=spec.layout,
    )


def _traced(source: Source, spec: ExportSpec) -> ir.Model:
    graph = trace(source, min(spec.opset, _TRACED_OPSET), spec.size)
    passes.Sequential(
        passes.BindWeights(source.weights),
        passes.FoldConstants(),
        ShapeInferencePass(),
        passes.KeepReducedAxes(),
        passes.ReshapeToTranspose(),
        passes.SinkTranspose(),
        passes.FoldAffine(),
        passes.FoldConstants(),
        passes.NameByLayer(source.owner),
    )(graph)
    return graph


def _is_free(source: Source, graph: ir.Model, spec: ExportSpec) -> bool:
    """Whether the graph is the network's at every height and width, not only where it was traced.

    Nodes of kinds that hold no size prove it; else a second trace at another size that gives the
    very same graph does.
    """
    images = [port for port in source.inputs if port.is_image]
    if not images or passes.holds_no_size(graph):
        return bool(images)
    if any(side is not None for port in images for side in port.shape[1:3]):
        return False  # it can be traced at no other
    height, width = spec.size
    other = replace(spec, size=(height + _STEP, width + 2 * _STEP))
    return are_twins(graph, _traced(source, other))


def _numbered(graph: ir.Model) -> tuple[str, ...]:
    """Return names for the classes of the one image that comes out; none where there are more."""
    outputs = list(graph.graph.outputs)
    if len(outputs) != 1 or outputs[0].shape is None or len(outputs[0].shape) != 4:  # noqa: PLR2004
        return ()
    channels = outputs[0].shape[3]
    count = max(2, channels) if isinstance(channels, int) else 0  # one channel is a sigmoid's
    return ("background", *(f"class{k}" for k in range(1, count)))


def _edges(spec: ExportSpec) -> list[ir.passes.InPlacePass]:
    """Return the passes that give the graph the inputs and outputs asked for."""
    wanted: list[ir.passes.InPlacePass] = []
    if spec.pixels in _PIXELS:
        wanted.append(passes.IntegerInput(_PIXELS[spec.pixels]))
    if spec.answer != "probabilities":
        wanted.append(passes.LabelOutput(only=spec.answer == "labels"))
    if spec.layout == "NCHW":
        wanted.append(passes.EdgesToNchw())
    return wanted


def _sha256_of(weights: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in weights.values():
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()

"""Precision lives in the graph: the same network with its tensors in another type."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput

from . import passes

__all__ = ["PrecisionSpec", "to_precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionSpec:
    """Which type a network computes in, and which of its nodes stay in float32.

    Attributes:
        precision: "fp16".
        keep: patterns of names of further nodes that stay in float32, as the pixels'
            normalisation and the softmax always do.
    """

    precision: str = "fp16"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.precision != "fp16":
            raise BadInput("Cannot convert the precision", got=self.precision, expected="fp16")


def to_precision(
    model: OnnxModel,
    path: Path,
    spec: PrecisionSpec | None = None,
    *,
    source: dict[str, Any] | None = None,
) -> OnnxModel:
    """Write `model` to `path` with weights and activations in float16; inputs stay float32.

    Since TensorRT 11 an engine computes in the types its graph has, and in no others. `source` is
    what to say the file was made from, where `model` is but a step on the way.

    Raises:
        BadInput: `model` is not float32.
        UnsupportedModel: a weight does not fit float16; names its layer.
    """
    spec = spec or PrecisionSpec()
    if model.precision != "fp32":
        raise BadInput(f"Cannot retype {model.path}", got=model.precision, expected="fp32")
    graph = ir.load(model.path)
    passes.Sequential(ShapeInferencePass(), passes.ToFloat16(spec.keep), RemoveUnusedNodesPass())(
        graph
    )
    fields = {field.name: getattr(model, field.name) for field in dataclass_fields(model)}
    fields |= {
        "source": source or model.as_source,
        "made_with": {"spec": asdict(spec), "onnx-ir": vendor.version("onnx-ir")},
        "precision": spec.precision,
    }
    del fields["path"], fields["sha256"]
    return OnnxModel.write(path, lambda temporary: ir.save(graph, temporary), **fields)

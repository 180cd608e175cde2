"""Precision lives in the graph: the same network with its tensors in another type."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput
from unetrt.files import replacing, sha256_of

from . import passes

__all__ = ["PrecisionSpec", "to_precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionSpec:
    """Which type a network computes in, and which of its nodes stay in float32.

    Attributes:
        precision: "fp16".
        keep: patterns of node names that stay in float32. By default the pixels' normalisation,
            since a 16-bit camera exceeds float16's 65504, and the softmax, since exp does.
    """

    precision: str = "fp16"
    keep: tuple[str, ...] = ("normalize*", "probabilities*")

    def __post_init__(self) -> None:
        if self.precision != "fp16":
            raise BadInput("Cannot convert the precision", got=self.precision, expected="fp16")


def to_precision(model: OnnxModel, path: Path, spec: PrecisionSpec | None = None) -> OnnxModel:
    """Write `model` to `path` with weights and activations in float16; inputs stay float32.

    Since TensorRT 11 an engine computes in the types its graph has, and in no others.
    """
    spec = spec or PrecisionSpec()
    graph = ir.load(model.path)
    passes.Sequential(ShapeInferencePass(), passes.ToFloat16(spec.keep), RemoveUnusedNodesPass())(
        graph
    )
    with replacing(path) as temporary:
        ir.save(graph, temporary)
    written = replace(
        model,
        path=path,
        sha256=sha256_of(path),
        source=model.as_source,
        made_with={
            "spec": asdict(spec),
            "onnx-ir": vendor.version("onnx-ir"),
        },
        precision=spec.precision,
    )
    written.save_sidecar()
    return written

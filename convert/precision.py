"""Precision lives in the graph: the same network with its tensors in another type."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import onnx
from onnxconverter_common import float16

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput
from unetrt.files import replacing, sha256_of

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
    proto = onnx.load(model.path)
    kept = [
        node.name
        for node in proto.graph.node
        if any(fnmatch(node.name, pattern) for pattern in spec.keep)
    ]
    typed = float16.convert_float_to_float16(
        proto, keep_io_types=True, node_block_list=kept, disable_shape_infer=False
    )
    with replacing(path) as temporary:
        onnx.save(typed, temporary)
    written = replace(
        model,
        path=path,
        sha256=sha256_of(path),
        source=model.as_source,
        made_with={
            "spec": asdict(spec),
            "onnxconverter-common": vendor.version("onnxconverter-common"),
        },
        precision=spec.precision,
    )
    written.save_sidecar()
    return written

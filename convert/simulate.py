"""Simulate bfloat16 networks on machines that have no bfloat16."""

from __future__ import annotations

from pathlib import Path

from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput
from unetrt.precision import Precision

from .onnx_file import read_graph, write_onnx
from .passes.round_bfloat16 import RoundBfloat16

__all__ = ["simulate_bfloat16"]


def simulate_bfloat16(model: OnnxModel, path: Path) -> OnnxModel:
    """Write a float32 file that rounds to bfloat16 wherever `model` would.

    ONNX Runtime has no bfloat16 convolution for the CPU. The simulation runs there, slower than
    float32, and shows the effect of bfloat16 on the outputs; it is for checking, not for engines.

    Raises:
        BadInput: `model` is not bfloat16.

    >>> from unetrt.convert.precision import PrecisionSpec, to_precision
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> half = to_precision(model, Path("half.onnx"), PrecisionSpec(precision="bf16"))
    >>> simulate_bfloat16(half, Path("simulated.onnx")).inputs[0].dtype
    'float32'
    """
    if model.precision != Precision.BF16:
        raise BadInput(f"Cannot simulate bfloat16 with {model.path}", got=model.precision)
    graph = read_graph(model)
    RoundBfloat16()(graph)
    return write_onnx(
        graph,
        path,
        classes=model.classes,
        sizes=model.sizes,
        source=model.as_source,
        made_with=model.made_with,
        kept=model.kept,
        simulated=True,
        precision=Precision.BF16,
        layout=model.layout,
        golden=model.golden,
    )

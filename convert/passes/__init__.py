"""Rewrite graphs, one pass a file: a pass takes an onnx-ir model and says whether it changed it.

A pass is imported when it is first asked for: retyping a graph takes three of them, and some of the
others bring onnxscript.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onnx_ir.passes import InPlacePass

if TYPE_CHECKING:
    from .bind_weights import BindWeights
    from .edges_to_nchw import EdgesToNchw
    from .fold_affine import FoldAffine
    from .fold_constants import FoldConstants
    from .free_axes import FreeAxes, NameBatch, holds_no_size
    from .integer_input import IntegerInput
    from .keep_reduced_axes import KeepReducedAxes
    from .label_output import LabelOutput
    from .name_by_layer import NameByLayer
    from .quantize import Quantize
    from .reshape_to_transpose import ReshapeToTranspose
    from .round_bfloat16 import RoundBfloat16
    from .sink_transpose import SinkTranspose
    from .to_half import ToHalf

__all__ = [
    "BindWeights",
    "EdgesToNchw",
    "FoldAffine",
    "FoldConstants",
    "FreeAxes",
    "InPlacePass",
    "IntegerInput",
    "KeepReducedAxes",
    "LabelOutput",
    "NameBatch",
    "NameByLayer",
    "Quantize",
    "ReshapeToTranspose",
    "RoundBfloat16",
    "SinkTranspose",
    "ToHalf",
    "holds_no_size",
]

_ROOMS = {
    "BindWeights": "bind_weights",
    "EdgesToNchw": "edges_to_nchw",
    "FoldAffine": "fold_affine",
    "FoldConstants": "fold_constants",
    "FreeAxes": "free_axes",
    "NameBatch": "free_axes",
    "holds_no_size": "free_axes",
    "IntegerInput": "integer_input",
    "KeepReducedAxes": "keep_reduced_axes",
    "LabelOutput": "label_output",
    "NameByLayer": "name_by_layer",
    "Quantize": "quantize",
    "ReshapeToTranspose": "reshape_to_transpose",
    "RoundBfloat16": "round_bfloat16",
    "SinkTranspose": "sink_transpose",
    "ToHalf": "to_half",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)

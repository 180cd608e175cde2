"""Graph rewrites, one a file: a pass takes an onnx-ir model and says whether it changed it."""

from __future__ import annotations

from onnx_ir.passes import InPlacePass

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

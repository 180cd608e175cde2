"""Graph rewrites, one a file: a pass takes an onnx-ir model and says whether it changed it."""

from __future__ import annotations

from onnx_ir.passes import InPlacePass, Sequential

from .bind_weights import BindWeights
from .fold_affine import FoldAffine
from .fold_constants import FoldConstants
from .free_axes import FreeAxes
from .name_by_layer import NameByLayer
from .reshape_to_transpose import ReshapeToTranspose
from .sink_transpose import SinkTranspose
from .to_float16 import ToFloat16

__all__ = [
    "BindWeights",
    "FoldAffine",
    "FoldConstants",
    "FreeAxes",
    "InPlacePass",
    "NameByLayer",
    "ReshapeToTranspose",
    "Sequential",
    "SinkTranspose",
    "ToFloat16",
]

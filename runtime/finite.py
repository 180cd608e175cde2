"""Inputs that are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput
from unetrt.tensors import TensorSpec

__all__ = ["check_finite"]


def check_finite(tensors: Sequence[TensorSpec], arrays: Sequence[NDArray[Any]]) -> None:
    """Raise BadInput where an input holds NaN or infinity; names the tensor and the first place."""
    for tensor, array in zip(tensors, arrays, strict=True):
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        wrong = np.argwhere(~np.isfinite(array))
        place = tuple(map(int, wrong[0]))
        raise BadInput(
            f"The input {tensor.name!r} holds numbers that are not finite",
            got=f"{array[place]} at {list(place)}, and {len(wrong) - 1} more",
            expected="finite numbers",
        )

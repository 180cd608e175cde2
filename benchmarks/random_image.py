"""An input for timing, where no image is at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel

__all__ = ["random_image"]


def random_image(artifact: OnnxModel | Engine, side: int, *, seed: int = 0) -> NDArray[Any]:
    """Return a batch of one square image of pixels from 0 to 255, as the network's input takes it.

    Random, since zeros can be computed faster than pixels.
    """
    tensor = artifact.inputs[0]
    free = {0: 1} | dict.fromkeys((2, 3) if artifact.layout == "NCHW" else (1, 2), side)
    shape = [free.get(axis, length) for axis, length in enumerate(tensor.shape)]
    pixels = np.random.default_rng(seed).integers(0, 256, [int(length) for length in shape])
    return pixels.astype(tensor.dtype)

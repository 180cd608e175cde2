"""Draw random pixels as a network takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.runtime import ImagePort

from ..inputs import random_input

__all__ = ["random_image"]


def random_image(artifact: OnnxModel | Engine, side: int, *, seed: int = 0) -> NDArray[Any]:
    """Return a batch of one square image of uniform bytes, in the type and layout of its input."""
    port = ImagePort(artifact)
    drawn = random_input(batch=1, height=side, width=side, channels=int(port.channels), seed=seed)
    pixels = drawn.normalized(artifact.normalization).pixels
    return np.ascontiguousarray(port.feed(pixels)[port.input.name])

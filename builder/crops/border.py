"""Weights that teach a network to keep touching objects apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["border_weights"]

_REACH = 5
"""Sigmas beyond which a weight is nothing: exp(-12.5)."""


def border_weights(
    instances: NDArray[np.integer], *, w0: float = 10.0, sigma: float = 5.0
) -> NDArray[np.float32]:
    """Return 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) for the background, 1 for objects.

    `instances` [height, width] numbers the objects, 0 is background; d1 and d2 are the distances
    in pixels to the nearest object and to the second nearest (Ronneberger et al. 2015, eq. 2).
    Each object's distance is measured in a window around it, as far as weights reach.
    """
    reach = int(np.ceil(_REACH * sigma))
    nearest = np.full(instances.shape, np.inf, np.float32)
    second = nearest.copy()
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:  # a number that no pixel bears
            continue
        window = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
        distance = ndimage.distance_transform_edt(instances[window] != number)
        one, two = nearest[window], second[window]  # views
        two[...] = np.minimum(two, np.maximum(one, distance))
        one[...] = np.minimum(one, distance)
    weights = 1 + w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where(instances > 0, 1, weights).astype(np.float32)

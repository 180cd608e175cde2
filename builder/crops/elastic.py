"""Smooth random deformation of a crop (Ronneberger et al. 2015, section 3.1)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

__all__ = ["displaced", "displacement", "sampled"]

_NODES = 3
"""Nodes of the grid along each side."""


def displacement(side: int, sd: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw how far each pixel of a crop moves: [2, side, side], rows first, in pixels.

    The nodes of a 3 x 3 grid move by a normal distance of `sd`; a spline lies between them.
    """
    basis = _basis(side)
    nodes = random.normal(scale=sd, size=(2, _NODES, _NODES)).astype(np.float32)
    return np.asarray(basis @ nodes @ basis.T, np.float32)


def displaced(corner: tuple[int, int], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where in the whole image the pixels of a crop lie that begins at `corner`."""
    side = np.arange(moved.shape[1], dtype=np.float32)
    return np.stack([moved[0] + (corner[0] + side)[:, None], moved[1] + (corner[1] + side)])


def sampled(image: NDArray[Any], places: NDArray[np.float32], *, smooth: bool) -> NDArray[Any]:
    """Return `image` [height, width] at `places` [2, h, w], mirrored beyond its edges.

    Bilinear and float32 if `smooth`, else the nearest pixel in the image's own type.
    """
    kind = np.float32 if smooth else image.dtype
    return np.asarray(
        ndimage.map_coordinates(
            image, places, output=kind, order=1 if smooth else 0, mode="reflect", prefilter=False
        )
    )


@cache
def _basis(side: int) -> NDArray[np.float32]:
    """Return what each node contributes to each of `side` pixels: [side, 3]."""
    nodes = np.linspace(0, side - 1, _NODES)
    spline = interpolate.CubicSpline(nodes, np.eye(_NODES))
    return np.asarray(spline(np.arange(side)), np.float32)

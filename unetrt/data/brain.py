"""Load the built-in data: axial slices of the MNI152 T1 brain template, with its tissue maps.

The ICBM 152 nonlinear template (Fonov et al. 2011) is an average of 152 adult heads; nilearn's
wheel carries it at 1 mm with maps of grey and white matter, so nothing is downloaded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data.dataset import Dataset, Sample

__all__ = ["CLASSES", "load_brain", "load_template", "slab_of"]

CLASSES = ("background", "grey", "white")

_SLABS = (("train", 13), (None, 2), ("val", 3), (None, 2), ("test", 3), (None, 2))
"""Parts of the set and their thickness in slices of 1 mm, repeated along the axis. None is a gap
between them: neighbouring slices are so alike that a test on one would be a test on the other."""


def slab_of(offset: int) -> str | None:
    """Return the part that the slice `offset` millimetres above the lowest belongs to, or None."""
    offset %= sum(thickness for _, thickness in _SLABS)
    for part, thickness in _SLABS:
        if offset < thickness:
            return part
        offset -= thickness
    raise AssertionError("unreachable: offset was reduced to the slabs' sum")


def load_template() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Load the template, 0 to 1, and the likeliest of the classes of each of its voxels.

    Both are [197, 233, 189]: right to left, back to front, bottom to top.

    Raises:
        MissingDependency: nilearn is not installed.
    """
    datasets = vendor.nilearn_datasets()
    t1, grey, white = (
        np.asarray(load(resolution=1).dataobj, dtype=np.float32)
        for load in (
            datasets.load_mni152_template,
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
        )
    )
    labels = np.argmax(np.stack([1 - grey - white, grey, white]), axis=0).astype(np.uint8)
    return t1 / t1.max(), labels


def load_brain() -> Dataset:
    """Load every axial slice that shows the brain: uint8 [233, 197, 1], nose up.

    A pixel's class is the likeliest of grey matter, white matter and everything else.

    Raises:
        MissingDependency: nilearn is not installed.
    """
    t1, labels = load_template()
    images = np.round(t1 * 255).astype(np.uint8)
    shown = np.flatnonzero(labels.any(axis=(0, 1)))
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for z in range(shown[0], shown[-1] + 1):
        part = slab_of(z - shown[0])
        if part is not None:
            image, label = (np.rot90(volume[:, :, z]).copy() for volume in (images, labels))
            parts[part].append(Sample(f"axial_{z:03d}", image[:, :, np.newaxis], label))
    return Dataset("brain", CLASSES, *(tuple(parts[part]) for part in ("train", "val", "test")))

"""Write label maps as NIfTI volumes, and draw them over their images."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data.dataset import IGNORED
from unetrt.files import write_bytes

__all__ = ["COLOURS", "overlay", "panels", "write_nifti_labels"]

_QUICK = 6
"""zlib's usual level; label maps shrink a hundredfold at any."""


def write_nifti_labels(
    path: Path, volume: Path, slices: list[NDArray[np.uint8]], *, axis: int = 2
) -> None:
    """Write labels to `path`, a .nii.gz, in the space of `volume`: its affine, codes and units.

    Args:
        path: the file to write.
        volume: the NIfTI file that was segmented.
        slices: its labels across `axis`, as `read_pages` gives the slices.
        axis: that they were cut across.

    Raises:
        OutputError: `path` cannot be written.
        MissingDependency: nibabel is not installed.
    """
    nibabel = vendor.nibabel()
    source: Any = nibabel.load(volume)
    labels = np.moveaxis(np.stack(slices), 0, axis)
    image = nibabel.Nifti1Image(labels, source.affine)
    header = source.header
    image.set_sform(source.get_sform(), int(header["sform_code"]))
    image.set_qform(source.get_qform(), int(header["qform_code"]))
    image.header.set_zooms(header.get_zooms()[:3])
    space = header.get_xyzt_units()[0]
    image.header.set_xyzt_units(xyz=space)
    # No time stamp: the same labels give the same file.
    write_bytes(path, gzip.compress(image.to_bytes(), _QUICK, mtime=0))


COLOURS = np.array(
    [(0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0)],
    np.float32,
)
"""Of the classes in turn, the background first: Okabe and Ito's, told apart by all eyes."""

_OPACITY = 0.45


def overlay(image: NDArray[Any], label: NDArray[Any] | None = None) -> NDArray[np.uint8]:
    """Return the image [height, width, 1 or 3] as uint8 RGB, stretched, with its classes on it."""
    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) * 255
    rgb = np.broadcast_to(grey, (*image.shape[:2], 3)).astype(np.float32)
    if label is not None:
        known = (label > 0) & (label != IGNORED)
        shown = np.where(known, (label.astype(np.int64) - 1) % (len(COLOURS) - 1) + 1, 0)
        tinted = (1 - _OPACITY) * rgb + _OPACITY * COLOURS[shown]
        rgb = np.where(known[:, :, np.newaxis], tinted, rgb)
    return rgb.astype(np.uint8)


def panels(image: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the image, its truth and its prediction side by side as uint8 RGB."""
    gap = np.full((image.shape[0], 4, 3), 255, np.uint8)
    return np.hstack([overlay(image), gap, overlay(image, truth), gap, overlay(image, prediction)])

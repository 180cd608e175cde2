"""Label maps as NIfTI volumes that lie over the volume they were made of."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.files import write_bytes

__all__ = ["write_nifti_labels"]

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

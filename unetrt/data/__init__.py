"""Read and write images and labels: the built-in brain slices, and folders of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unetrt.data.dataset import IGNORED, Dataset, Sample
from unetrt.data.reading import read_image
from unetrt.data.writing import write_image

__all__ = ["IGNORED", "Dataset", "Sample", "load_dataset", "read_image", "write_image"]


def load_dataset(source: str | Path | Dataset) -> Dataset:
    """Load the built-in set "brain", or a folder of images/ and labels/.

    Args:
        source: "brain", or a folder whose images and labels are paired by name. Its labels may
            be masks of 0 and 255, 16-bit instance numbers, or classes; a `dataset.json` beside
            them may name the classes, an `index.csv` the part of each file. A data set that is
            loaded already is returned as it is.

    Raises:
        DataError: the folder or a file in it cannot be used; says which and why.
        MissingDependency: "brain" without nilearn, NIfTI volumes without nibabel.

    Example:
        >>> data = load_dataset("cells")
        >>> data.train[0].image.shape, data.train[0].label.dtype
        ((48, 56, 1), dtype('uint8'))
    """
    if isinstance(source, Dataset):
        return source
    if source == "brain":
        from unetrt.data.brain import load_brain  # noqa: PLC0415  (nilearn takes seconds)

        return replace(load_brain(), source="brain")
    from unetrt.data.folder import load_folder  # noqa: PLC0415

    return replace(load_folder(Path(source)), source=str(Path(source).resolve()))

"""Images with their labels: the built-in brain slices, and folders of one's own."""

from __future__ import annotations

from pathlib import Path

from unetrt.data.dataset import IGNORED, Dataset, Sample
from unetrt.data.reading import read_image, write_image

__all__ = ["IGNORED", "Dataset", "Sample", "load_dataset", "read_image", "write_image"]


def load_dataset(source: str) -> Dataset:
    """Load "brain", the built-in set, or a folder of images/ and labels/.

    Raises:
        DataError: the folder or a file in it cannot be used; says which and why.
        MissingDependency: "brain" without nilearn.
    """
    if source == "brain":
        from unetrt.data.brain import load_brain  # noqa: PLC0415  (nilearn takes seconds)

        return load_brain()
    from unetrt.data.folder import load_folder  # noqa: PLC0415

    return load_folder(Path(source))

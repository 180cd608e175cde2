"""What `unetrt predict` does with each file that is held whole."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt.data.reading import VOLUME_SUFFIXES, read_pages, stem_of, write_image
from unetrt.data.writing import overlay, write_nifti_labels
from unetrt.files import replacing
from unetrt.runtime import Session

__all__ = ["Prediction"]

Pages = list[NDArray[np.generic]]


class Made(NamedTuple):
    """The pages of a file and what the network says of each."""

    path: Path
    pages: Pages
    labels: list[NDArray[np.uint8]]
    probabilities: list[NDArray[np.float32]]


class Prediction:
    """Reads, segments and writes files; reading and writing may be done in other threads.

    Args:
        session: what segments.
        out: folder for predictions/, overlays/ and probabilities/.
        overlays: draw them.
        probabilities: write them.
    """

    def __init__(self, session: Session, out: Path, *, overlays: bool, probabilities: bool) -> None:
        self._session = session
        self._out = out
        self._overlays = overlays
        self._probabilities = probabilities

    def read(self, path: Path) -> tuple[Path, Pages]:
        """Read an image, or all of a stack or volume."""
        return path, read_pages(path)

    def segment(self, given: tuple[Path, Pages]) -> Made:
        """Segment each page."""
        path, pages = given
        if not self._probabilities:
            return Made(path, pages, [self._session.segment(page) for page in pages], [])
        found = [self._session.probabilities(page) for page in pages]
        classes = self._session.segmenter("probabilities").classes_of
        return Made(path, pages, [classes(p) for p in found], found)

    def write(self, made: Made) -> int:
        """Write what was asked for; return how many images it was."""
        name = stem_of(made.path)
        stack = len(made.pages) > 1
        if made.path.name.lower().endswith(VOLUME_SUFFIXES):
            out = self._out / "predictions" / f"{name}.nii.gz"
            write_nifti_labels(out, made.path, made.labels)
        elif stack:
            with replacing(self._out / "predictions" / f"{name}.tif") as temporary:
                tifffile.imwrite(
                    temporary, np.stack(made.labels), photometric="minisblack", compression="zlib"
                )
        else:
            write_image(self._out / "predictions" / f"{name}.png", made.labels[0])
        if self._overlays:
            for number, (page, label) in enumerate(zip(made.pages, made.labels, strict=True)):
                file = Path(name) / f"{number:04d}.png" if stack else Path(f"{name}.png")
                write_image(self._out / "overlays" / file, overlay(page, label))
        if made.probabilities:
            with replacing(self._out / "probabilities" / f"{name}.npy") as temporary:
                np.save(temporary, np.stack(made.probabilities) if stack else made.probabilities[0])
        return len(made.pages)

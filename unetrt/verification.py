"""Verify artifacts against a reference on real images, and find where a wrong one goes wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt import vendor
from unetrt.artifacts import KerasFile, OnnxModel
from unetrt.data import Dataset, load_dataset
from unetrt.data.dataset import normalized
from unetrt.errors import UnetrtError
from unetrt.keras_models import load_model
from unetrt.normalization import common_normalization
from unetrt.parity import Parity, compare
from unetrt.predictors import (
    Runnable,
    check_fit,
    common_sizes,
    normalized_for,
    open_predictors,
    path_of,
    runnable,
)
from unetrt.progress import Progress
from unetrt.runtime import ImagePort
from unetrt.sizes import SizeRule, as_batch

if TYPE_CHECKING:
    from unetrt.convert.divergence import Divergence

__all__ = ["Search", "find_divergence", "verify", "verify_all"]


def verify(
    reference: Runnable,
    candidate: Runnable,
    data: Dataset | str | Path,
    *,
    progress: Progress | None = None,
) -> Parity:
    """Compare an artifact with its reference on the test images of a data set.

    Args:
        reference: a Keras model, an ONNX file or an engine that is right.
        candidate: another one.
        data: a data set, "brain", or a folder of images/ and labels/.
        progress: is told of every image.

    Returns:
        How far apart they are; `Parity.check` raises where that is too far.

    Raises:
        ArtifactError, NoDevice, MissingDependency: one cannot be opened here.
        DataError: the data cannot be used.
        BadInput: one does not fit the data, or they take no common size, or pixels on different
            scales.
        ParityError: the candidate's output has another shape.

    >>> from unetrt.artifacts import OnnxModel
    >>> from unetrt.convert.precision import to_precision
    >>> half = to_precision(OnnxModel.load(Path("model.onnx")), Path("half.onnx"))
    >>> parity = verify("model.onnx", half.path, "cells")
    >>> parity.check()
    >>> parity.max_abs_diff < 0.01
    True
    """
    parities = verify_all(reference, [candidate], data, progress=progress)
    return list(parities.values())[1]


def verify_all(
    reference: Runnable,
    candidates: Sequence[Runnable],
    data: Dataset | str | Path,
    *,
    progress: Progress | None = None,
) -> dict[str, Parity]:
    """Compare several artifacts with one reference, as `verify` does, in one pass over the images.

    Returns:
        The parity of each by its file's name, that of the reference first.
    """
    progress = progress or Progress()
    with ExitStack() as stack:
        with progress.step("open", "Opening the artifacts"):
            opened = open_predictors(stack, [reference, *candidates])
        dataset = load_dataset(data)
        check_fit(opened, dataset)
        samples = normalized_for(opened, dataset.test)
        first, *others = opened
        count = len(dataset.test)
        with progress.step("verify", f"Comparing on {count} images"):
            parities = compare(
                (first.name, first.predict),
                {other.name: other.predict for other in others},
                samples,
                dataset.classes,
                common_sizes(opened),
                on_sample=lambda done: progress.tick(f"{done}/{count} images"),
            )
        return {
            predictor.name: replace(parities[predictor.name], precision=predictor.precision)
            for predictor in opened
        }


@dataclass(frozen=True, slots=True)
class Search:
    """Hold what a search for the first divergence found.

    Attributes:
        divergence: the first value that differs; None where none was found.
        sentence: what was found, or why nothing was, for a person.
    """

    divergence: Divergence | None
    sentence: str


def find_divergence(
    reference: Runnable, candidate: Runnable, data: Dataset | str | Path, worst: str = ""
) -> Search:
    """Search for the first layer of a candidate whose values are not those of the reference.

    Both run on the CPU as ONNX; a Keras reference is exported afresh.

    Args:
        reference: a Keras model or an ONNX file.
        candidate: an ONNX file; an engine cannot be looked into.
        data: a data set, "brain", or a folder of images/ and labels/.
        worst: name of the test image to run them on: `Parity.worst`; the first one if unknown.
    """
    source, file = path_of(reference), path_of(candidate)
    if file.suffix != ".onnx" or source.suffix not in (".onnx", *KerasFile.SUFFIXES):
        return Search(
            None,
            f"{file.name} cannot be looked into: verify the ONNX file that it was built from",
        )
    vendor.need_rewriter()
    from unetrt.convert.divergence import first_divergence  # noqa: PLC0415  (verify runs without)

    samples = load_dataset(data).test
    sample = next((sample for sample in samples if sample.name == worst), samples[0])
    try:
        with _as_onnx(source) as right, _as_onnx(file) as wrong:
            own = {source.name: right.normalization, file.name: wrong.normalization}
            (sample,) = normalized([sample], common_normalization(own), among=samples)
            x = as_batch(sample.image, SizeRule.joined(right.sizes, wrong.sizes))
            feeds = ImagePort(right).feed(x), ImagePort(wrong).feed(x)
            found = first_divergence(right, wrong, feeds, wrong.precision.divergence)
    except UnetrtError as error:
        return Search(
            None, f"where {file.name} first diverges could not be found: {str(error)[:-1]}"
        )
    if found is None:
        said = f"no layer of {file.name} diverges on the CPU by more than its precision does"
        return Search(None, said)
    said = f"{file.name} diverges at layer {found}; {found.before} values before it agree"
    return Search(found, said)


@contextmanager
def _as_onnx(path: Path) -> Iterator[OnnxModel]:
    """Give a file as ONNX that runs on the CPU."""
    if path.suffix not in KerasFile.SUFFIXES:
        with runnable(path) as file:
            yield OnnxModel.load(file)
        return
    from unetrt.convert.to_onnx import export_onnx  # noqa: PLC0415  (TensorFlow takes seconds)

    model, origin = load_model(path)
    with tempfile.TemporaryDirectory() as folder:
        yield export_onnx(model, Path(folder) / "fresh.onnx", origin=origin)

"""Where a candidate that failed parts from its reference: for `unetrt verify`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from unetrt.artifacts import OnnxModel

__all__ = ["find_parting"]


def find_parting(reference: Path, candidate: Path, x_nhwc: NDArray[Any]) -> dict[str, Any]:
    """Return the first layer of `candidate` whose values are not those of `reference`.

    A Keras reference is exported afresh. `x_nhwc` are the pixels on which the answers differ. The
    result has "layer", None where none parts, and "said", a sentence.
    """
    from unetrt.cli.predictors import KERAS
    from unetrt.convert.divergence import first_divergence
    from unetrt.errors import UnetrtError
    from unetrt.runtime import ImagePort

    if candidate.suffix != ".onnx" or reference.suffix not in (".onnx", *KERAS):
        said = (
            f"{candidate.name} cannot be looked into here: verify the ONNX file it was built from"
        )
        return {"layer": None, "said": said}
    try:
        with _as_onnx(reference) as right, _as_onnx(candidate) as wrong:
            feeds = ImagePort(right).feed(x_nhwc), ImagePort(wrong).feed(x_nhwc)
            found = first_divergence(right, wrong, feeds, wrong.precision.divergence)
    except UnetrtError as error:
        return {"layer": None, "said": f"where {candidate.name} parts could not be found: {error}"}
    if found is None:
        said = f"no layer of {candidate.name} parts on the CPU by more than its precision does"
        return {"layer": None, "said": said}
    said = f"{candidate.name} parts at layer {found}; {found.before} values before it agree"
    return {"layer": found.layer, "relative": found.relative, "before": found.before, "said": said}


@contextmanager
def _as_onnx(path: Path) -> Iterator[OnnxModel]:
    """Give `path` as ONNX that runs on the CPU."""
    from unetrt.artifacts import OnnxModel
    from unetrt.cli.predictors import KERAS, runnable

    if path.suffix not in KERAS:
        with runnable(path) as file:
            yield OnnxModel.load(file)
        return
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import load_model

    model, origin = load_model(path)
    with tempfile.TemporaryDirectory() as folder:
        yield export_onnx(model, Path(folder) / "fresh.onnx", origin=origin)

"""Any artifact as a function from pixels to probabilities, for verify, bench and the demo."""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt.precision import Precision
from unetrt.sizes import SizeRule

if TYPE_CHECKING:
    from unetrt.data import Dataset
    from unetrt.parity import Predict
    from unetrt.runtime import Session

__all__ = [
    "KERAS",
    "Predictor",
    "check_fit",
    "common_sizes",
    "onnx_runtime",
    "open_all",
    "opened",
    "runnable",
]

KERAS = (".keras", ".h5")
"""How the names of Keras files end."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A runnable artifact and what is known about it; no session where Keras runs it."""

    name: str
    path: Path
    predict: Predict
    precision: Precision
    channels: int | str
    n_classes: int | str | None
    sizes: SizeRule
    session: Session | None = None


@contextmanager
def opened(
    path: Path, backend: str = "auto", name: str | None = None, *, precision: str = "own"
) -> Iterator[Predictor]:
    """Open a .keras, .h5, .onnx or .engine file for the length of the block.

    Backend and precision are as of `SessionSpec`; Keras knows no other than its own.
    """
    if path.suffix in KERAS:
        yield _keras_predictor(path, name or path.name)
        return
    from unetrt.runtime import ImagePort, SessionSpec, judged_by, open_session

    spec = SessionSpec(backend=backend, precision=precision)
    with runnable(path) as file, open_session(file, spec) as session:
        artifact = session.artifact
        port = ImagePort(artifact, prefer="probabilities")
        yield Predictor(
            name or path.name,
            path,
            lambda x: port.answer(session.run(port.feed(x))),
            judged_by(artifact, session.info["computes_in"]),
            port.channels,
            port.n_classes,
            artifact.sizes,
            session,
        )


def onnx_runtime() -> str:
    """Return the backend that is ONNX Runtime: on the GPU where its CUDA provider is installed."""
    from unetrt.runtime.backends.onnxruntime_cuda import has_provider

    return "onnxruntime-cuda" if has_provider() else "onnxruntime"


@contextmanager
def runnable(path: Path) -> Iterator[Path]:
    """Give a file that can run here in the place of a bfloat16 one, which no CPU library runs."""
    from unetrt.artifacts import OnnxModel

    model = OnnxModel.load(path) if path.suffix == ".onnx" else None
    if model is None or model.precision != Precision.BF16:
        yield path
        return
    from unetrt.convert.simulate import simulate_bfloat16

    with tempfile.TemporaryDirectory() as folder:
        yield simulate_bfloat16(model, Path(folder) / path.name).path


def open_all(
    stack: ExitStack, paths: Sequence[Path], backend: str = "auto", precision: str = "own"
) -> list[Predictor]:
    """Open several, named by file name, or by path where two files share a name."""
    from unetrt.errors import BadInput

    counts = Counter(path.name for path in paths)
    names = [path.name if counts[path.name] == 1 else str(path) for path in paths]
    if len(set(names)) < len(names):
        raise BadInput("The same file is named twice", got=", ".join(names))
    return [
        stack.enter_context(opened(path, backend, name, precision=precision))
        for path, name in zip(paths, names, strict=True)
    ]


def check_fit(predictors: Sequence[Predictor], data: Dataset) -> None:
    """Raise BadInput where one takes other channels or tells other classes apart than the data."""
    from unetrt.errors import BadInput

    for predictor in predictors:
        for what, own, wanted in (
            ("channels", predictor.channels, data.channels),
            ("classes", predictor.n_classes, len(data.classes)),
        ):
            sigmoid = what == "classes" and (own, wanted) == (1, 2)
            if isinstance(own, int) and own != wanted and not sigmoid:
                raise BadInput(
                    f"{predictor.name} does not fit the data {data.name!r}",
                    got=f"{own} {what}",
                    expected=f"{wanted}"
                    + (f" ({', '.join(data.classes)})" if what == "classes" else ""),
                    hint="choose other data with --data",
                )


def common_sizes(predictors: Sequence[Predictor]) -> SizeRule:
    """Return the sizes that all of them take.

    Raises:
        BadInput: there are none, or their answers differ in size.
    """
    return functools.reduce(SizeRule.joined, (predictor.sizes for predictor in predictors))


def _keras_predictor(path: Path, name: str) -> Predictor:
    from unetrt import vendor
    from unetrt.artifacts import KerasFile

    KerasFile.load(path)  # before TensorFlow takes its seconds
    vendor.keras()
    vendor.tensorflow_without_tf32()  # a reference must not round
    from unetrt.keras_models import in_full_precision, load_model

    model, file = load_model(path)
    return Predictor(
        name,
        path,
        in_full_precision(model).predict_on_batch,
        Precision.FP32,
        model.input_shape[-1],
        model.output_shape[-1],
        file.sizes,
    )

"""Run any artifact, Keras model, ONNX file or engine, as a function from pixels to predictions."""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.artifacts import Engine, KerasFile, OnnxModel
from unetrt.data import Dataset, Sample
from unetrt.data.dataset import normalized
from unetrt.errors import BadInput
from unetrt.keras_models import in_full_precision, load_model
from unetrt.normalization import Normalization, common_normalization
from unetrt.parity import Predict
from unetrt.precision import Precision
from unetrt.runtime import ImagePort, Session, SessionSpec, judged_by, open_session
from unetrt.runtime.backends.onnxruntime_cuda import has_provider
from unetrt.runtime.session import warmup_inputs
from unetrt.sizes import SizeRule

__all__ = [
    "Predictor",
    "Runnable",
    "check_fit",
    "common_sizes",
    "normalized_for",
    "onnx_runtime",
    "open_predictor",
    "open_predictors",
    "path_of",
    "runnable",
]


Runnable = str | Path | KerasFile | OnnxModel | Engine
"""A Keras model, an ONNX file or an engine, or the path of one."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Hold a runnable artifact and what is known about it.

    Attributes:
        name: of the file, unless another was given.
        path: the file.
        predict: pixels [batch, height, width, channels], normalised where the network wants that,
            to probabilities [batch, height, width, classes] or labels [batch, height, width].
        precision: by whose tolerance its predictions are judged.
        channels: of the image.
        n_classes: channels of the probabilities; None where labels come out.
        sizes: heights and widths that it takes.
        normalization: of the pixels that it takes; None where they are as they are stored.
        size: the height and width that it fixes, or that an engine was tuned for; None where it
            leaves one of them free.
        session: what runs it; None where Keras does.
    """

    name: str
    path: Path
    predict: Predict
    precision: Precision
    channels: int | str
    n_classes: int | str | None
    sizes: SizeRule
    normalization: Normalization | None = None
    size: tuple[int, int] | None = None
    session: Session | None = None


@contextmanager
def open_predictor(
    artifact: Runnable, spec: SessionSpec | None = None, *, name: str | None = None
) -> Iterator[Predictor]:
    """Open a .keras, .h5, .onnx or .engine file for the length of the block.

    A bfloat16 ONNX file is simulated in float32, for want of a CPU library that runs it.

    Args:
        artifact: the file.
        spec: what to open it with; Keras knows neither backends nor precisions.
        name: instead of the file's.

    Raises:
        ArtifactError, NoDevice, MissingDependency: it cannot be opened here.
        ShapeError: it does not map one image to its classes.

    >>> import numpy as np
    >>> with open_predictor("model.onnx") as predictor:
    ...     probabilities = predictor.predict(np.zeros((1, 32, 48, 1), np.float32))
    >>> probabilities.shape
    (1, 32, 48, 2)
    """
    path = path_of(artifact)
    if path.suffix in KerasFile.SUFFIXES:
        yield _keras_predictor(path, name or path.name)
        return
    with runnable(path) as file, open_session(file, spec) as session:
        artifact = session.artifact
        port = ImagePort(artifact, prefer="probabilities")
        yield Predictor(
            name or path.name,
            path,
            lambda x: port.prediction(session.run(port.feed(x))),
            judged_by(artifact, session.info["computes_in"]),
            port.channels,
            port.n_classes,
            artifact.sizes,
            artifact.normalization,
            _own_size(session, port),
            session,
        )


def open_predictors(
    stack: ExitStack, artifacts: Sequence[Runnable], spec: SessionSpec | None = None
) -> list[Predictor]:
    """Open several, named by file name, or by path where two files share a name.

    Args:
        stack: closes them.
        artifacts: the files.
        spec: what to open ONNX files and engines with.

    Raises:
        BadInput: a file is named twice.
    """
    files = [path_of(artifact) for artifact in artifacts]
    counts = Counter(path.name for path in files)
    names = [path.name if counts[path.name] == 1 else str(path) for path in files]
    if len(set(names)) < len(names):
        raise BadInput("The same file is named twice", got=", ".join(names))
    return [
        stack.enter_context(open_predictor(path, spec, name=name))
        for path, name in zip(files, names, strict=True)
    ]


def path_of(artifact: Runnable) -> Path:
    """Return the path of an artifact, or of what is one already."""
    return Path(artifact) if isinstance(artifact, (str, Path)) else artifact.path


def onnx_runtime() -> str:
    """Return the backend that is ONNX Runtime: on the GPU where its CUDA provider is installed."""
    return "onnxruntime-cuda" if has_provider() else "onnxruntime"


@contextmanager
def runnable(path: Path) -> Iterator[Path]:
    """Give a file that runs here in the place of a bfloat16 one, which no CPU library runs."""
    model = OnnxModel.load(path) if path.suffix == ".onnx" else None
    if model is None or model.precision != Precision.BF16:
        yield path
        return
    # By name: the benchmarks import this module, and reach nothing that converts.
    precision: Any = importlib.import_module("unetrt.convert.precision")
    with tempfile.TemporaryDirectory() as folder:
        yield precision.simulate_bfloat16(model, Path(folder) / path.name).path


def check_fit(predictors: Sequence[Predictor], data: Dataset) -> None:
    """See that all of them take the data's channels and tell its classes apart.

    Raises:
        BadInput: one does not.
    """
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
                    hint="choose other `data`",
                )


def normalized_for(
    predictors: Sequence[Predictor],
    samples: Iterable[Sample],
    *,
    among: Iterable[Sample] | None = None,
) -> Iterator[Sample]:
    """Yield samples as all of them take them, one after another; see `Dataset.normalized`.

    Args:
        predictors: at least one.
        samples: their images as they are stored.
        among: samples whose files' pixels count, these and others; by default these alone.

    Raises:
        BadInput: they take pixels on different scales.
    """
    own = {predictor.name: predictor.normalization for predictor in predictors}
    return normalized(samples, common_normalization(own), among=among)


def common_sizes(predictors: Sequence[Predictor]) -> SizeRule:
    """Return the sizes that all of them take.

    Raises:
        BadInput: there are none, or their predictions differ in size.
    """
    return functools.reduce(SizeRule.joined, (predictor.sizes for predictor in predictors))


def _own_size(session: Session, port: ImagePort) -> tuple[int, int] | None:
    for inputs in warmup_inputs(session.artifact, None):
        return port.input.sides(inputs[port.input.name].shape)
    return None


def _keras_predictor(path: Path, name: str) -> Predictor:
    KerasFile.load(path)  # before TensorFlow takes its seconds
    model, file = load_model(path)
    height, width = model.input_shape[1:3]
    vendor.tensorflow_without_tf32()  # a reference must not round
    return Predictor(
        name,
        path,
        in_full_precision(model).predict_on_batch,
        Precision.FP32,
        model.input_shape[-1],
        model.output_shape[-1],
        file.sizes,
        file.normalization,
        None if height is None or width is None else (height, width),
    )

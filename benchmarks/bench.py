"""Time artifacts side by side: what disagrees with the first is not timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data import Dataset, load_dataset
from unetrt.errors import BadInput
from unetrt.files import sha256_of
from unetrt.gpu import find_gpu
from unetrt.normalization import common_normalization
from unetrt.precision import Precision
from unetrt.predictors import Predictor, Runnable, check_fit, common_sizes, open_predictors
from unetrt.progress import Progress
from unetrt.runtime import ImagePort, SessionSpec

from .agreement import Reference
from .candidates import CallCandidate, Candidate, session_candidate
from .compare import compare_rows
from .inputs import TimedInput, random_input, real_input
from .machine import describe_machine
from .measure import MeasureSpec, measure
from .record import SCOPES, Record, write_record
from .rows import Facts, row_of, session_facts

__all__ = ["BenchSpec", "bench", "new_record"]

_SIDE = 512
"""Pixels of the random images' sides where the networks leave them free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSpec:
    """Say what is timed, and how.

    Attributes:
        batch: images at once.
        size: height and width of the images, in pixels; by default that of the data's first image
            or, of random images, the network's own, or 512 x 512.
        scopes: "core" (the network alone, in place where it computes), "end_to_end" (from a
            stored image to its labels, both in host memory), or both. Keras has no core.
        seed: of random images.
        measure: how often, in which order and mode.
        session: what ONNX files and engines are opened with.

    Raises:
        BadInput: no image, or another scope.
    """

    batch: int = 1
    size: tuple[int, int] | None = None
    scopes: tuple[str, ...] = SCOPES
    seed: int = 0
    measure: MeasureSpec = field(default_factory=MeasureSpec)
    session: SessionSpec = field(default_factory=SessionSpec)

    def __post_init__(self) -> None:
        if self.batch < 1 or min(self.size or (1,)) < 1:
            raise BadInput(
                "Cannot time so few pixels",
                got=f"batch {self.batch}, size {self.size}",
                expected="positive numbers",
            )
        if not self.scopes or not set(self.scopes) <= set(SCOPES):
            raise BadInput(
                "There is no such scope",
                got=", ".join(self.scopes) or "none",
                expected=" or ".join(SCOPES),
            )


def bench(
    artifacts: Runnable | Sequence[Runnable],
    spec: BenchSpec | None = None,
    *,
    data: Dataset | str | Path | None = None,
    out: str | Path | None = None,
    command: str = "unetrt.bench",
    progress: Progress | None = None,
) -> Record:
    """Time Keras models, ONNX files and engines side by side.

    What disagrees with the first one is not timed. Each is compared with the first one, which also
    runs beside itself (an A/A test): a difference must be larger than its own.

    Args:
        artifacts: the files.
        spec: what is timed, and how; by default as many runs as a 90th percentile takes.
        data: a data set, "brain", or a folder whose test images are timed; None times random ones.
        out: file for the record, written after each scope.
        command: what the record says it was made by.
        progress: is told of every round.

    Raises:
        ArtifactError, NoDevice, MissingDependency: an artifact cannot be opened here.
        BadInput: there is nothing to time, or nothing that fits the data.
        DataError: the data cannot be used.
        ParityError: one disagrees with the first; nothing was timed in that scope.

    >>> spec = BenchSpec(
    ...     size=(32, 48),
    ...     scopes=("core",),
    ...     measure=MeasureSpec(samples=5),
    ...     session=SessionSpec(backend="onnxruntime"),
    ... )
    >>> [row] = bench("model.onnx", spec).rows
    >>> row.label, row.shape, len(row.host_ns)
    ('onnxruntime fp32', (1, 32, 48, 1), 5)
    """
    spec, progress = spec or BenchSpec(), progress or Progress()
    timed = artifacts if isinstance(artifacts, Sequence) else [artifacts]
    timed = [artifacts] if isinstance(artifacts, str) else timed
    if not timed:
        raise BadInput("There is nothing to time", expected="ONNX files, engines or Keras models")
    record = new_record(command)
    with ExitStack() as stack:
        with progress.step("open", "Opening the artifacts"):
            predictors = open_predictors(stack, timed, spec.session)
        scopes = _timeable(spec.scopes, predictors)
        with progress.step("data", "Choosing the images"):
            timed_input = _chosen_input(predictors, data, spec, progress)
        for scope in scopes:
            with progress.step("bench", f"Timing {spec.measure.count} runs of each, {scope}"):
                record = _with_scope(record, predictors, timed_input, spec.measure, scope, progress)
            if out is not None:
                write_record(record, Path(out))
    return record


def new_record(command: str) -> Record:
    """Return a record of this machine, now, without rows.

    Args:
        command: what it is made by.
    """
    return Record(
        title="unetrt bench",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        machine=describe_machine(),
        rows=(),
    )


def _timeable(scopes: Sequence[str], predictors: Sequence[Predictor]) -> list[str]:
    """Return the scopes that can be timed; Keras has none but end to end."""
    if any(predictor.session is not None for predictor in predictors):
        return list(scopes)
    if "end_to_end" not in scopes:
        raise BadInput(
            "There is no core to time",
            got="Keras files alone",
            expected="an ONNX file or an engine",
            hint="Keras is timed from end to end",
        )
    return ["end_to_end"]


def _chosen_input(
    predictors: Sequence[Predictor],
    data: Dataset | str | Path | None,
    spec: BenchSpec,
    progress: Progress,
) -> TimedInput:
    if data is None:
        return _random(predictors, spec, progress)
    dataset = load_dataset(data)
    check_fit(predictors, dataset)
    images = [sample.image for sample in dataset.test]
    height, width = spec.size or images[0].shape[:2]
    return real_input(
        images,
        batch=spec.batch,
        height=height,
        width=width,
        source=f"test images of {dataset.name}",
        any_scale=predictors[0].normalization is not None,
    )


def _random(predictors: Sequence[Predictor], spec: BenchSpec, progress: Progress) -> TimedInput:
    channels = {p.channels for p in predictors if isinstance(p.channels, int)}
    if len(channels) != 1:
        raise BadInput(
            "Cannot tell how many channels random images should have",
            got=sorted(channels),
            expected="networks of one number of channels",
        )
    free = common_sizes(predictors).at_least(_SIDE)
    own = next((p.size for p in predictors if p.size is not None), None)
    height, width = spec.size or own or (free, free)
    why = "as asked" if spec.size else "the network's own size" if own else "any size would do"
    progress.say(f"Random images of {height} x {width} pixels, {why}")
    return random_input(
        batch=spec.batch, height=height, width=width, channels=channels.pop(), seed=spec.seed
    )


def _with_scope(
    record: Record,
    predictors: Sequence[Predictor],
    timed_input: TimedInput,
    spec: MeasureSpec,
    scope: str,
    progress: Progress,
) -> Record:
    """Return the record with the rows and comparisons of one scope added."""
    own = {predictor.name: predictor.normalization for predictor in predictors}
    normalized = timed_input.normalized(common_normalization(own))
    fitted = normalized.fitted(common_sizes(predictors))
    reference = _reference(predictors[0], timed_input, fitted, scope)
    timed = [p for p in predictors if p.session is not None or scope == "end_to_end"]
    again = f"{timed[0].name} again"
    named = [(p, p.name) for p in timed]
    if len(timed) > 1:
        named.append((timed[0], again))
    with ExitStack() as stack:
        candidates = []
        for predictor, name in named:
            candidates.append(_candidate(predictor, name, timed_input, scope))
            stack.callback(candidates[-1].close)
        taken = measure(candidates, spec, reference=reference, on_run=progress.tick)
    shape = fitted if scope == "core" else timed_input
    rows = [row_of(taken[p.name], _facts(p), shape, scope=scope, mode=spec.mode) for p in timed]
    compared = [compare_rows(rows[0], other, taken[again].rounds_ns) for other in rows[1:]]
    return replace(
        record,
        rows=(*record.rows, *rows),
        comparisons=(*record.comparisons, *compared),
    )


def _reference(
    first: Predictor, timed_input: TimedInput, fitted: TimedInput, scope: str
) -> Reference:
    """Return what the first artifact predicts: probabilities, or labels from end to end."""
    prediction = first.predict(fitted.pixels.astype(np.float32))
    if scope == "end_to_end":
        _, height, width, _ = timed_input.shape
        prediction = ImagePort.labels(prediction)[:, :height, :width]
    return Reference(first.name, np.asarray(prediction))


def _candidate(predictor: Predictor, name: str, timed_input: TimedInput, scope: str) -> Candidate:
    session: Any = predictor.session
    if session is None:
        labelled = _labelled(predictor, timed_input)
        return CallCandidate(name, labelled, timed_input.pixels, predictor.precision)
    if session.artifact.path != predictor.path:
        raise BadInput(
            f"{predictor.name} cannot be timed here",
            got="bfloat16, which is simulated in float32 for want of a library that runs it",
            hint="build an engine of it, or time it on a GPU",
        )
    return session_candidate(name, session, timed_input, scope=scope, precision=predictor.precision)


def _labelled(
    predictor: Predictor, timed_input: TimedInput
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return Keras end to end: from bytes to labels, mirrored out and cut back as in a session."""
    _, height, width, _ = timed_input.shape

    def labels(pixels: NDArray[Any]) -> NDArray[Any]:
        stored = replace(timed_input, pixels=pixels)
        x = stored.normalized(predictor.normalization).fitted(predictor.sizes).pixels
        return ImagePort.labels(predictor.predict(x.astype(np.float32)))[:, :height, :width]

    return labels


def _facts(predictor: Predictor) -> Facts:
    session: Any = predictor.session
    if session is not None:
        return session_facts(session, predictor.name)
    gpu = find_gpu() if vendor.tensorflow_has_gpu() else None
    return Facts(
        network=predictor.name,
        precision=Precision.FP32,
        backend="keras",
        device="CPU" if gpu is None else gpu.name,
        computes_in=Precision.FP32.compute_dtype,
        configuration={"call": "predict_on_batch"} | ({} if gpu is None else {"tf32": False}),
        artifact={"file": predictor.path.name, "sha256": sha256_of(predictor.path)},
        peer=True,
    )

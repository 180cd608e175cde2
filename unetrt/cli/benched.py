"""What `unetrt bench` does between opening the artifacts and showing the figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput

if TYPE_CHECKING:
    from unetrt.benchmarks import Candidate, MeasureSpec, Record, Reference, TimedInput
    from unetrt.benchmarks.rows import Facts
    from unetrt.predictors import Predictor

__all__ = ["choose_input", "sides", "time_scope"]


def choose_input(
    predictors: Sequence[Predictor], data: str, seed: int | None, batch: int, size: str | None
) -> TimedInput:
    """Return test images of `data`, or random ones where there is a seed.

    Raises:
        BadInput: a size that is none, or networks of other channels than the data's.
    """
    from unetrt.benchmarks import random_input, real_input
    from unetrt.data import load_dataset
    from unetrt.predictors import check_fit

    asked = None if size is None else sides(size)
    if seed is not None:
        if asked is None:
            raise BadInput("Random images have no size of their own", hint="give one with --size")
        channels = {p.channels for p in predictors if isinstance(p.channels, int)}
        if len(channels) != 1:
            raise BadInput(
                "Cannot tell how many channels random images should have",
                got=sorted(channels),
                expected="networks of one number of channels",
            )
        return random_input(
            batch=batch, height=asked[0], width=asked[1], channels=channels.pop(), seed=seed
        )
    dataset = load_dataset(data)
    check_fit(predictors, dataset)
    images = [sample.image for sample in dataset.test]
    height, width = asked or images[0].shape[:2]
    return real_input(
        images, batch=batch, height=height, width=width, source=f"test images of {dataset.name}"
    )


def time_scope(
    record: Record,
    predictors: Sequence[Predictor],
    timed_input: TimedInput,
    plan: MeasureSpec,
    scope: str,
    on_run: Callable[[str], None],
) -> Record:
    """Return the record with the rows and comparisons of one scope added.

    Raises:
        ParityError: one disagrees with the first; nothing was timed.
    """
    from unetrt.benchmarks import measure
    from unetrt.benchmarks.compare import compare_rows
    from unetrt.benchmarks.rows import row_of
    from unetrt.predictors import common_sizes

    fitted = timed_input.fitted(common_sizes(predictors))
    reference = _reference(predictors[0], timed_input, fitted, scope)
    timed = [p for p in predictors if p.session is not None or scope == "end_to_end"]
    again = f"{timed[0].name} again"
    with ExitStack() as stack:
        candidates = []
        for predictor, name in [*((p, p.name) for p in timed), (timed[0], again)][
            : None if len(timed) > 1 else 1
        ]:
            candidates.append(_candidate(predictor, name, timed_input, scope))
            stack.callback(candidates[-1].close)
        taken = measure(candidates, plan, reference=reference, on_run=on_run)
    shape = fitted if scope == "core" else timed_input
    rows = [row_of(taken[p.name], _facts(p), shape, scope=scope, mode=plan.mode) for p in timed]
    compared = [compare_rows(rows[0], other, taken[again].rounds_ns) for other in rows[1:]]
    return replace(
        record,
        rows=(*record.rows, *rows),
        comparisons=(*record.comparisons, *compared),
    )


def _reference(
    first: Predictor, timed_input: TimedInput, fitted: TimedInput, scope: str
) -> Reference:
    """Return what the first artifact says of the input: its probabilities, or its labels."""
    from unetrt.benchmarks import Reference
    from unetrt.runtime import ImagePort

    answer = first.predict(fitted.pixels.astype(np.float32))
    if scope == "end_to_end":
        _, height, width, _ = timed_input.shape
        answer = ImagePort.labels(answer)[:, :height, :width]
    return Reference(first.name, np.asarray(answer))


def _candidate(predictor: Predictor, name: str, timed_input: TimedInput, scope: str) -> Candidate:
    from unetrt.benchmarks import CallCandidate, session_candidate

    if predictor.session is None:
        return CallCandidate(
            name, _labelled(predictor, timed_input), timed_input.pixels, predictor.precision
        )
    if predictor.session.artifact.path != predictor.path:
        raise BadInput(
            f"{predictor.name} cannot be timed here",
            got="bfloat16, which is simulated in float32 for want of a library that runs it",
            hint="build an engine of it, or time it on a GPU",
        )
    session: Any = predictor.session
    return session_candidate(name, session, timed_input, scope=scope, precision=predictor.precision)


def _labelled(
    predictor: Predictor, timed_input: TimedInput
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return Keras end to end: from bytes to labels, mirrored out and cut back as in a session."""
    from unetrt.runtime import ImagePort

    _, height, width, _ = timed_input.shape

    def labels(pixels: NDArray[Any]) -> NDArray[Any]:
        x = replace(timed_input, pixels=pixels).fitted(predictor.sizes).pixels
        return ImagePort.labels(predictor.predict(x.astype(np.float32)))[:, :height, :width]

    return labels


def _facts(predictor: Predictor) -> Facts:
    from unetrt import vendor
    from unetrt.benchmarks.rows import Facts, session_facts
    from unetrt.files import sha256_of
    from unetrt.gpu import find_gpu

    session: Any = predictor.session
    if session is not None:
        return session_facts(session, predictor.name)
    gpu = find_gpu() if vendor.tensorflow_has_gpu() else None
    return Facts(
        network=predictor.name,
        precision="fp32",
        backend="keras",
        device="CPU" if gpu is None else gpu.name,
        computes_in="float32",
        configuration={"call": "predict_on_batch"} | ({} if gpu is None else {"tf32": False}),
        artifact={"file": predictor.path.name, "sha256": sha256_of(predictor.path)},
        peer=True,
    )


def sides(text: str) -> tuple[int, int]:
    """Return the height and width of "512x640", or of "512"."""
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if found is None:
        raise BadInput("Cannot use --size", got=text, expected="HEIGHTxWIDTH, such as 512x640")
    height, width = found.group(1), found.group(2)
    return int(height), int(width or height)

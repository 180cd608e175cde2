"""A network against what the Keras model itself said of the golden image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput, CheckFailed
from unetrt.golden import Answer, Golden
from unetrt.parity import TOLERANCES, Tolerance

__all__ = ["SelfTest", "judged_by", "run_self_test"]

_IMAGE_RANK = 4
_HALF = 0.5

_MEAN_SHARE = 0.1
"""Of the largest difference allowed, that the mean may reach: one pixel may tip, not all."""

Run = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What came of it.

    Attributes:
        precision: by whose tolerance it was judged.
        height, width: of the golden image.
        max_abs_diff: largest difference from Keras, of a probability; where an output is none, as a
            share of its largest value. None where there are labels only.
        mean_abs_diff: the mean, of the output where it is largest.
        labels_that_differ: share of pixels that Keras is sure of; None without label outputs.
    """

    precision: str
    height: int
    width: int
    max_abs_diff: float | None
    mean_abs_diff: float | None
    labels_that_differ: float | None


def run_self_test(artifact: OnnxModel | Engine, run: Run, computed_in: str) -> SelfTest:
    """Run the golden image and compare; see `Session.self_test`."""
    golden = artifact.golden
    if golden is None:
        raise BadInput(
            f"{artifact.path} carries no golden image",
            hint="convert the Keras model again; a network that takes more than images has none",
        )
    precision = judged_by(artifact, computed_in)
    tolerance = TOLERANCES[precision]
    made = run({tensor.name: x for tensor, x in _feeds(artifact, golden)})
    differences: list[NDArray[Any]] = []
    wrong: list[float] = []
    for name, answer in _paired(artifact, golden):
        y = made[name]
        if artifact.layout == "NCHW" and y.ndim == _IMAGE_RANK:
            y = y.transpose(0, 2, 3, 1)
        found, expected = answer.same_of(y).astype(np.float32), answer.values.array
        if y.dtype == np.uint8:
            found, expected, sure = _labels(found, expected, tolerance)
            _same_count(artifact, name, found, expected)
            wrong.append(float((found != expected)[sure].mean()) if sure.any() else 0.0)
        else:
            _same_count(artifact, name, found, expected)
            differences.append(np.abs(found - expected) / max(1.0, float(np.abs(expected).max())))
    result = SelfTest(
        precision,
        golden.height,
        golden.width,
        max((float(d.max()) for d in differences), key=_nan_last, default=None),
        max((float(d.mean()) for d in differences), key=_nan_last, default=None),
        max(wrong, default=None),
    )
    _judge(artifact, result, tolerance)
    return result


def _judge(artifact: OnnxModel | Engine, result: SelfTest, tolerance: Tolerance) -> None:
    for what, off, most in (
        ("a value off by", result.max_abs_diff, tolerance.max_abs_diff),
        ("values off by a mean of", result.mean_abs_diff, _MEAN_SHARE * tolerance.max_abs_diff),
        ("a share of other labels of", result.labels_that_differ, tolerance.dice),
    ):
        if off is not None and not off <= most:  # NaN fails too
            raise CheckFailed(
                f"{artifact.path} does not say of its golden image what Keras said",
                got=f"{what} {off:.2g}",
                expected=f"at most {most:g} in {result.precision}",
                hint="do not use it on this machine: convert or build it again, and verify it",
            )


def judged_by(artifact: OnnxModel | Engine, computed_in: str) -> str:
    """Return the coarser of what the artifact is in and what is computed in, as of TOLERANCES."""
    computed = {"bfloat16": "bf16", "tf32": "tf32", "float16": "fp16"}.get(computed_in, "fp32")
    own = TOLERANCES[artifact.precision], artifact.precision
    other = TOLERANCES[computed], computed
    return max(own, other, key=lambda pair: pair[0].dice)[1]


def _feeds(artifact: OnnxModel | Engine, golden: Golden) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Yield each input with its picture, in its type and layout, as often as the batch wants."""
    profiles = artifact.made_with.get("profiles", {})
    for tensor in artifact.inputs:
        x = golden.feed(tensor.name, tensor.dtype)
        least = profiles[tensor.name][0][0] if tensor.name in profiles else tensor.shape[0]
        x = np.repeat(x, least if isinstance(least, int) else 1, axis=0)
        yield tensor, x.transpose(0, 3, 1, 2) if artifact.layout == "NCHW" else x


def _paired(artifact: OnnxModel | Engine, golden: Golden) -> Iterator[tuple[str, Answer]]:
    """Yield each output with the answer it gives, or gives the labels of.

    Labels are added for every image that comes out, in order.
    """
    maps = iter(golden.answers.values())
    for tensor in artifact.outputs:
        own = golden.answers.get(tensor.name)
        if own is not None:
            yield tensor.name, own
        elif tensor.dtype == "uint8":
            yield tensor.name, next(a for a in maps if a.is_image)


def _labels(
    found: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return labels, Keras' own, and where Keras is sure: no rounding allowed can tip them."""
    if expected.shape[1] == 1:
        best, lead = expected[:, 0] > _HALF, 2 * np.abs(expected[:, 0] - _HALF)
    else:
        ranked = np.sort(expected, axis=1)
        best, lead = expected.argmax(axis=1), ranked[:, -1] - ranked[:, -2]
    return found[:, 0], best.astype(np.float32), lead > min(2 * tolerance.max_abs_diff, _HALF)


def _same_count(
    artifact: OnnxModel | Engine, name: str, found: NDArray[Any], expected: NDArray[Any]
) -> None:
    if found.shape != expected.shape:
        raise CheckFailed(
            f"{artifact.path} gives another shape of {name!r} than Keras",
            got=found.shape,
            expected=expected.shape,
        )


def _nan_last(value: float) -> float:
    return np.inf if np.isnan(value) else value

"""Whether two ways to run a network agree: on every pixel's probabilities, and on the Dice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import Sample
from unetrt.errors import BadInput, ParityError
from unetrt.overlap import OverlapCounter
from unetrt.sizes import SizeRule, as_batch

__all__ = ["TOLERANCES", "Parity", "Predict", "Tolerance", "compare"]

Predict = Callable[[NDArray[Any]], NDArray[Any]]
"""Pixels [1, height, width, channels] to float32 probabilities [1, height, width, classes], or to
labels uint8 [1, height, width]."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a candidate may be from its reference.

    Attributes:
        max_abs_diff: of any probability.
        dice: of any class, and of the per-image foreground.
    """

    max_abs_diff: float
    dice: float


TOLERANCES = {
    # The same arithmetic in another order.
    "fp32": Tolerance(max_abs_diff=1e-4, dice=1e-4),
    # Inputs of each product rounded to 10 bits.
    "tf32": Tolerance(max_abs_diff=0.1, dice=1e-3),
    # One pixel on a border may tip far; the Dice may not move.
    "fp16": Tolerance(max_abs_diff=0.1, dice=1e-3),
    # 8 bits where float16 has 11. Measured on the demo's network: 0.25 and 0.0017.
    "bf16": Tolerance(max_abs_diff=0.5, dice=5e-3),
    # A pixel may tip wholly, so that of the probabilities only NaN fails; the Dice is held to
    # MLPerf's 99 %. Measured: 0.26 and 0.0009. With the rest in float16, 0.26 and 0.0003, but
    # 0.86 and 0.0018 once ONNX Runtime's optimiser has rewritten the graph.
    "int8": Tolerance(max_abs_diff=1.0, dice=1e-2),
}
"""What each precision is held to."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How one candidate did on all samples, beside the reference.

    Attributes:
        dice: per class and `per_image_foreground`.
        max_abs_diff: largest difference of a probability from the reference's; NaN if any is; None
            where there are labels only.
        worst: name of the sample on which it is.
        dice_diff: largest difference of a Dice from the reference's.
    """

    name: str
    dice: dict[str, float]
    max_abs_diff: float | None
    worst: str
    dice_diff: float

    def check(self, tolerance: Tolerance) -> None:
        """Raise ParityError, naming the candidate, unless it is within `tolerance`."""
        if self.max_abs_diff is not None and not self.max_abs_diff <= tolerance.max_abs_diff:
            # NaN fails too
            raise ParityError(
                f"{self.name} disagrees with the reference",
                got=f"a probability off by {self.max_abs_diff:.2g}",
                expected=f"at most {tolerance.max_abs_diff:g}",
                hint="do not deploy it; check the conversion that made it",
            )
        if not self.dice_diff <= tolerance.dice:
            raise ParityError(
                f"{self.name} disagrees with the reference",
                got=f"a Dice off by {self.dice_diff:.2g}",
                expected=f"at most {tolerance.dice:g}",
                hint="do not deploy it; keep sensitive layers in float32",
            )


def compare(
    reference: tuple[str, Predict],
    candidates: Mapping[str, Predict],
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    sizes: SizeRule,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> dict[str, Parity]:
    """Run all of them over `samples`, image by image; the reference comes first in the result.

    Raises:
        BadInput: a candidate bears the reference's name.
    """
    if reference[0] in candidates:
        raise BadInput("Two artifacts to compare have one name", got=reference[0])
    predictors: dict[str, Predict] = dict((reference, *candidates.items()))
    dice = {name: OverlapCounter(classes) for name in predictors}
    difference: dict[str, float | None] = dict.fromkeys(predictors, 0.0)
    worst = dict.fromkeys(predictors, "")
    for number, sample in enumerate(samples, start=1):
        x = as_batch(sample.image, sizes)
        expected: NDArray[Any] | None = None
        answered = (side - 2 * sizes.margin for side in x.shape[1:3])
        expected_shape = (1, *answered, len(classes))
        height, width = sample.label.shape
        for name, predict in predictors.items():
            answer = _checked(name, predict(x), expected_shape)
            expected = answer if expected is None else expected
            off = _difference(answer, expected)
            known = difference[name]
            if off is None or known is None:
                difference[name] = None
            elif not off <= known:  # a NaN stays the worst
                difference[name], worst[name] = off, sample.name
            labels = answer if answer.ndim == 3 else answer.argmax(axis=-1)  # noqa: PLR2004
            dice[name].add(sample.label, labels[0, :height, :width])
        on_sample(number)
    own = dice[reference[0]].to_json()
    return {
        name: Parity(
            name=name,
            dice=(found := dice[name].to_json()),
            max_abs_diff=difference[name],
            worst=worst[name],
            dice_diff=max(abs(found[key] - own[key]) for key in own),
        )
        for name in predictors
    }


def _difference(answer: NDArray[Any], expected: NDArray[Any]) -> float | None:
    """Return the largest difference of a probability, None where one of them has labels only."""
    if answer.ndim != expected.ndim:
        return None
    return float(np.abs(answer.astype(np.float32) - expected).max())


def _checked(name: str, answer: NDArray[Any], expected: tuple[int, ...]) -> NDArray[Any]:
    """Return probabilities of both classes where a sigmoid's one channel came."""
    if answer.ndim == 4 and answer.shape[-1] == 1 and expected[-1] == 2:  # noqa: PLR2004
        answer = np.concatenate([1 - answer, answer], axis=-1)
    if answer.shape not in (expected, expected[:3]):
        raise ParityError(f"{name} gives another shape", got=answer.shape, expected=expected)
    return answer

"""Check that a candidate agrees with its reference; one that does not is never timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput, ParityError
from unetrt.precision import Precision

from .candidates import Candidate

__all__ = ["Agreement", "Answering", "Reference", "check_agreement", "check_answer"]

_PROBABILITIES = 4


class Answering(Candidate, Protocol):
    """A candidate that shows what it computes."""

    @property
    def precision(self) -> str:
        """Name the precision whose tolerance it is held to."""

    def answer(self) -> NDArray[Any]:
        """Run once on the input in place: probabilities [batch, height, width, classes], or labels
        [batch, height, width].
        """  # noqa: D205


@dataclass(frozen=True, slots=True)
class Reference:
    """An answer to hold others against: probabilities or labels, and whose it is."""

    name: str
    answer: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an answer is from the reference's.

    Attributes:
        reference: whose answer it was held against.
        max_abs_diff: of any probability, NaN if any is; None where one of both has labels only.
        labels_that_differ: share of all labels.
    """

    reference: str
    max_abs_diff: float | None
    labels_that_differ: float

    def to_json(self) -> dict[str, Any]:
        """Return a record's `parity`."""
        return {
            "reference": self.reference,
            "max_abs_diff": self.max_abs_diff,
            "labels_that_differ": self.labels_that_differ,
        }


def check_agreement(candidate: Candidate, reference: Reference) -> Agreement:
    """Return how far a candidate's answer is from the reference's.

    Probabilities are held to the tolerance of the candidate's precision. Labels are, where there
    are no probabilities or where the tolerance lets each tip wholly (INT8): as many may differ as
    the Dice may.

    Raises:
        ParityError: it is farther than its precision allows, or of another shape.
        BadInput: the candidate does not show its answer.
    """
    if not hasattr(candidate, "answer"):
        raise BadInput(
            f"{candidate.name} does not show its answer, so that it cannot be checked",
            hint="give it `answer()` and `precision`",
        )
    answering: Answering = candidate  # type: ignore[assignment]
    answer = np.asarray(answering.answer())
    return check_answer(answer, reference, name=candidate.name, precision=answering.precision)


def check_answer(
    answer: NDArray[Any], reference: Reference, *, name: str, precision: str
) -> Agreement:
    """As `check_agreement`, of an answer that is known already."""
    tolerance, expected = Precision.of(precision).tolerance, reference.answer
    if answer.ndim == expected.ndim and answer.shape != expected.shape:
        raise ParityError(
            f"{name} gives another shape than {reference.name}",
            got=answer.shape,
            expected=expected.shape,
        )
    labels, wanted = _labels(answer), _labels(expected)
    if labels.shape != wanted.shape:
        raise ParityError(
            f"{name} gives another shape than {reference.name}",
            got=labels.shape,
            expected=wanted.shape,
        )
    off: float | None = None
    if answer.ndim == expected.ndim == _PROBABILITIES:
        off = float(np.abs(answer.astype(np.float32) - expected).max())
        if not off <= tolerance.max_abs_diff:  # NaN fails too
            raise ParityError(
                f"{name} disagrees with {reference.name} and is not timed",
                got=f"a probability off by {off:.2g}",
                expected=f"at most {tolerance.max_abs_diff:g} in {precision}",
                hint="a wrong engine is often a fast one; check the conversion that made it",
            )
    differ = float(np.mean(labels != wanted))
    if (off is None or tolerance.max_abs_diff >= 1) and differ > tolerance.dice:
        raise ParityError(
            f"{name} disagrees with {reference.name} and is not timed",
            got=f"{100 * differ:.3g} % of the labels differ",
            expected=f"at most {100 * tolerance.dice:g} % in {precision}",
            hint="a wrong engine is often a fast one; check the conversion that made it",
        )
    return Agreement(reference.name, off, differ)


def _labels(answer: NDArray[Any]) -> NDArray[Any]:
    if answer.ndim != _PROBABILITIES:
        return answer
    return answer[..., 0] > 0.5 if answer.shape[-1] == 1 else answer.argmax(axis=-1)  # noqa: PLR2004

"""Check that a candidate agrees with its reference; one that does not is never timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput, ParityError
from unetrt.precision import Precision
from unetrt.tensors import IMAGE_RANK

from .candidates import Candidate

__all__ = ["Agreement", "PredictingCandidate", "Reference", "check_agreement", "check_prediction"]


class PredictingCandidate(Candidate, Protocol):
    """Show the prediction, so that it can be checked."""

    @property
    def precision(self) -> str:
        """Name the precision whose tolerance holds: "fp32", "tf32", "fp16", "bf16", "int8"."""

    def predict(self) -> NDArray[Any]:
        """Run once on the input in place.

        Returns:
            Probabilities [batch, height, width, classes], or labels [batch, height, width].
        """


@dataclass(frozen=True, slots=True)
class Reference:
    """Hold the prediction that others are compared with.

    Attributes:
        name: of the candidate that made it.
        prediction: probabilities [batch, height, width, classes], or labels [batch, height, width].

    Example:
        >>> import numpy as np
        >>> Reference("Keras", np.zeros((1, 4, 4), np.uint8)).name
        'Keras'
    """

    name: str
    prediction: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Tell how far a prediction is from the reference's.

    Attributes:
        reference: name of the candidate that it was compared with.
        max_abs_diff: of any probability, NaN if any is; None where one of both has labels only.
        labels_that_differ: share of all labels.

    Example:
        >>> Agreement("Keras", 1e-6, 0.0).to_json()["labels_that_differ"]
        0.0
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
    """Run a candidate once and compare its prediction with the reference's.

    Probabilities must be within the tolerance of the candidate's precision. Labels must, where
    there are no probabilities or where the tolerance lets each tip wholly (INT8): as many may
    differ as the Dice may.

    Raises:
        ParityError: it is farther than its precision allows, or of another shape.
        BadInput: the candidate does not show its prediction.
    """
    if not hasattr(candidate, "predict"):
        raise BadInput(
            f"{candidate.name} does not show its prediction, so that it cannot be checked",
            hint="give it `predict()` and `precision`",
        )
    predicting: PredictingCandidate = candidate  # type: ignore[assignment]
    return check_prediction(
        np.asarray(predicting.predict()),
        reference,
        name=candidate.name,
        precision=predicting.precision,
    )


def check_prediction(
    prediction: NDArray[Any], reference: Reference, *, name: str, precision: str
) -> Agreement:
    """Compare a prediction that is known already with the reference's; see `check_agreement`."""
    tolerance, expected = Precision.of(precision).tolerance, reference.prediction
    if prediction.ndim == expected.ndim and prediction.shape != expected.shape:
        raise ParityError(
            f"{name} gives another shape than {reference.name}",
            got=prediction.shape,
            expected=expected.shape,
        )
    labels, wanted = _labels(prediction), _labels(expected)
    if labels.shape != wanted.shape:
        raise ParityError(
            f"{name} gives another shape than {reference.name}",
            got=labels.shape,
            expected=wanted.shape,
        )
    off: float | None = None
    if prediction.ndim == expected.ndim == IMAGE_RANK:
        off = float(np.abs(prediction.astype(np.float32) - expected).max())
        most = tolerance.max_abs_diff
        if most < 1:  # or a prediction in the middle of everything would agree
            most = min(most, float(np.ptp(expected)) / 2)
        if not off <= most:  # NaN fails too
            raise ParityError(
                f"{name} disagrees with {reference.name} and is not timed",
                got=f"a probability off by {off:.2g}",
                expected=f"at most {most:.3g} in {precision}",
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


def _labels(prediction: NDArray[Any]) -> NDArray[Any]:
    if prediction.ndim != IMAGE_RANK:
        return prediction
    is_binary = prediction.shape[-1] == 1
    return np.asarray(prediction[..., 0] > 0.5 if is_binary else prediction.argmax(axis=-1))  # noqa: PLR2004

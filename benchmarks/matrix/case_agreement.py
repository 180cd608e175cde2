"""Hold the answers of a case to its reference; what disagrees is not timed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import ParityError

from ..measuring.agreement import Agreement, Answering, Reference, check_answer

__all__ = ["Judge"]

_FLAT = 1e-3
"""An answer that is the same everywhere would agree with anything."""

_QUANTISED_SPREAD = 0.1
"""How far an int8 answer may spread about the reference's, by standard deviations of the latter.

Skeletons have random weights: their labels are near ties, of which eight bits tip a few in a
hundred and a wrong network half, so that labels tell little. Measured with ONNX Runtime: 0.04 (the
article's network, 256 x 256) and 0.06 (the paper's). An answer of another network would be at 1.4,
a flat one at 1."""

_PROBABILITIES = 4


class Judge:
    """The first answer of a scope is what the others of that scope are held to."""

    def __init__(self) -> None:
        self._references: dict[str, Reference] = {}

    def check(
        self, candidate: Answering, scope: str, core: Reference | None
    ) -> tuple[Agreement, Reference]:
        """Return how far a candidate is from its reference, and its own answer.

        `core` is what the core of the same session answered, once it was found right: labels from
        end to end are to be the very same.

        Raises:
            ParityError: farther than its precision allows, or of another shape.
        """
        answer = np.asarray(candidate.answer())
        own = Reference(candidate.name, answer)
        if core is not None and core.answer.shape[:3] == answer.shape[:3]:
            return check_answer(answer, core, name=own.name, precision="fp32"), own
        if scope not in self._references:
            _telling(answer)
            self._references[scope] = own
        reference = self._references[scope]
        if candidate.precision == "int8" and answer.ndim == _PROBABILITIES:
            return _quantised(candidate.name, answer, reference), own
        held_to = candidate.precision
        return check_answer(answer, reference, name=own.name, precision=held_to), own


def _telling(answer: NDArray[Any]) -> None:
    spread = float(np.ptp(answer))
    if not spread > _FLAT:
        raise ParityError("The reference's answer says nothing", got=f"values within {spread:.1g}")


def _quantised(name: str, answer: NDArray[Any], reference: Reference) -> Agreement:
    expected = reference.answer
    if expected.shape != answer.shape:
        raise ParityError(f"{name} gives another shape", got=answer.shape, expected=expected.shape)
    apart = answer.astype(np.float32) - expected
    spread = float(apart.std() / expected.std())
    if not spread <= _QUANTISED_SPREAD:  # NaN fails too
        raise ParityError(
            f"{name} disagrees with {reference.name} and is not timed",
            got=f"differences that spread by {spread:.2g} of the answer's own spread",
            expected=f"at most {_QUANTISED_SPREAD:g} in int8",
        )
    labels = float(np.mean(answer.argmax(axis=-1) != expected.argmax(axis=-1)))
    return Agreement(reference.name, float(np.abs(apart).max()), labels)

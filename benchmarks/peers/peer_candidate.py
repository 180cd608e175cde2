"""A peer as a candidate: in a child, held to the reference before it is timed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import ParityError
from unetrt.parity import TOLERANCES

from ..measuring.candidate import Turn
from .worker import Worker

__all__ = ["Limits", "PeerCandidate"]

_TOLERANCE_OF = {
    "float32": "fp32", "tf32": "tf32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that a child may take to open a network (compiling counts), and for one answer."""

    open_s: float = 600.0
    answer_s: float = 300.0


class PeerCandidate:
    """A peer that opened a network and agrees with the reference; see `Candidate`.

    Attributes:
        name: the peer's.
        info: `versions`, `configuration`, `device` and `computes_in`, as the child said.
        parity: `max_abs_diff` and `labels_that_differ` from the reference's answer.
    """

    def __init__(
        self, name: str, worker: Worker, folder: Path, limits: Limits, file_precision: str
    ) -> None:
        self.name = name
        self.info: dict[str, Any] = worker.opened
        self.parity: dict[str, float] = {}
        self._worker, self._folder, self._limits = worker, folder, limits
        self._file_precision = file_precision

    def turn(self, count: int) -> Turn:
        """Run so many times in the child, by its own clock.

        Raises:
            WorkerFailed: the child died, hung or gave no answer.
        """
        taken = self._worker.ask("turn", count=count, timeout_s=self._limits.answer_s)
        stages = {name: tuple(ns) for name, ns in taken.items()}
        return Turn(stages.pop("host"), stages)

    def answer(self) -> NDArray[Any]:
        """Return the output for the input that it was opened with."""
        file = self._worker.ask("answer", timeout_s=self._limits.answer_s)
        return np.asarray(np.load(self._folder / file, allow_pickle=False))

    def check(self, expected: NDArray[Any]) -> None:
        """Compare the answer with the reference's, and keep how far it is in `parity`.

        Raises:
            ParityError: it is further than its precision excuses, or than half of the values'
                spread: an answer in the middle of everything is none.
        """
        answer = self.answer()
        if answer.shape != expected.shape:
            raise ParityError(
                f"{self.name} gives another shape", got=answer.shape, expected=expected.shape
            )
        apart = float(np.abs(answer.astype(np.float32) - expected).max())
        labels = float(np.mean(answer.argmax(axis=-1) != expected.argmax(axis=-1)))
        self.parity = {"max_abs_diff": apart, "labels_that_differ": labels}
        # A file in float16 that is computed in float32 is as far off as its weights are.
        precisions = (_TOLERANCE_OF[self.info["computes_in"]], self._file_precision)
        tolerance = max(TOLERANCES[precision].max_abs_diff for precision in precisions)
        most = min(tolerance, float(np.ptp(expected)) / 2)
        if not apart <= most:  # NaN fails too
            raise ParityError(
                f"{self.name} disagrees with ONNX Runtime and is not timed",
                got=f"a value off by {apart:.2g}",
                expected=f"at most {most:.2g} in {self.info['computes_in']}",
            )

    def close(self) -> None:
        """End the child."""
        self._worker.close()

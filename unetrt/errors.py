"""Define every error that unetrt raises on purpose.

    UnetrtError
    ├── BadInput            exit status 2: what was given cannot be used
    │   ├── DataError           images, labels, data folders
    │   ├── ShapeError          sizes a network or an engine cannot take
    │   ├── ArtifactError       a model, ONNX file or engine: missing, altered, of another kind
    │   ├── OutputError         a place that cannot be written
    │   ├── UnsupportedModel    a model that cannot be converted or built
    │   ├── MissingDependency   an optional package that is not installed
    │   └── NoDevice            no GPU, or one that cannot run what was asked
    │       └── OutOfMemory         a GPU without room for what was asked
    ├── CheckFailed         exit status 1: the work was done and the result is not right
    │   ├── ParityError         an artifact disagrees with its reference
    │   └── ReceiptError        an engine does not compute in the precision asked for
    └── WorkerFailed        exit status 1: a process that does a part of the work failed

Each says what failed, what it got, what it expected, and what to do next, in one sentence.
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "BadInput",
    "CheckFailed",
    "DataError",
    "MissingDependency",
    "NoDevice",
    "OutOfMemory",
    "OutputError",
    "ParityError",
    "ReceiptError",
    "ShapeError",
    "UnetrtError",
    "UnsupportedModel",
    "WorkerFailed",
]


class UnetrtError(Exception):
    """Say what failed and, where known, what it got, what it expected and what to do next.

    Args:
        what: failed.
        got: what was given or found.
        expected: what would have been right.
        hint: the next step.

    Attributes:
        got: as given, for callers that list several failures.
        result: what was found all the same, for callers that print it as JSON.

    Example:
        >>> str(DataError("Cannot use it", got=3, expected="4", hint="try again"))
        'Cannot use it: got 3, expected 4; try again.'
    """

    exit_status = 1

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        sentence = what
        if got is not None:
            sentence += f": got {got}"
        if expected is not None:
            sentence += f", expected {expected}" if got is not None else f": expected {expected}"
        if hint is not None:
            sentence += f"; {hint}"
        super().__init__(sentence + ".")
        self.got = got
        self.result: dict[str, object] = {}


class BadInput(UnetrtError):  # noqa: N818  (it names the input, not the exception)
    """Report that what was given cannot be used."""

    exit_status = 2


class DataError(BadInput):
    """Report images, labels or a data folder that cannot be used."""


class ShapeError(BadInput):
    """Report a size or type that a network or an engine cannot take."""


class ArtifactError(BadInput):
    """Report a model, ONNX file or engine that is missing, altered or of another kind."""


class OutputError(BadInput):
    """Report a place that cannot be written."""


class UnsupportedModel(BadInput):
    """Report a model that cannot be converted, or that an engine builder refuses."""


class MissingDependency(BadInput):
    """Report an optional package that is missing, and name the extra that brings it."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            hint=f"install it with: pip install 'unetrt[{extra}]'",
        )
        self.package = package
        self.extra = extra


class NoDevice(BadInput):
    """Report that there is no GPU, or none that can run what was asked."""


class OutOfMemory(NoDevice):
    """Report a GPU, or pinned host memory, without room; what is open stays usable."""


class CheckFailed(UnetrtError):  # noqa: N818  (it names the outcome)
    """Report that the work was done and its result is not right."""


class ParityError(CheckFailed):
    """Report an artifact that differs from its reference by more than the tolerance."""


class ReceiptError(CheckFailed):
    """Report an engine that does not compute in the precision that was asked for."""


class WorkerFailed(UnetrtError):  # noqa: N818  (it names the outcome)
    """Report a process, started for a part of the work, that died, hung or gave no result."""

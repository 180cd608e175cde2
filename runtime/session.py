"""Open an artifact, run it on tensors, segment images of any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import ArtifactError, BadInput, ShapeError
from unetrt.padding import as_batch
from unetrt.tensors import TensorSpec

from .backends import Backend, open_backend

__all__ = ["Session", "SessionSpec", "open_session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """What an artifact is opened with.

    Attributes:
        backend: "auto" (ONNX Runtime for ONNX files, an engine's own library for engines),
            "onnxruntime" or "openvino".
        threads: of a CPU backend; None leaves the choice to it.
    """

    backend: str = "auto"
    threads: int | None = None


def open_session(artifact: Path | OnnxModel | Engine, spec: SessionSpec | None = None) -> Session:
    """Open an artifact, its file checked against its sidecar.

    Raises:
        ArtifactError: missing, altered, or made by another version of its library.
        MissingDependency: its library is not installed.
        NoDevice: an engine, and no GPU that can run it.
    """
    spec = spec or SessionSpec()
    loaded = load_artifact(artifact) if isinstance(artifact, Path) else artifact
    return Session(loaded, open_backend(loaded, spec.backend, spec.threads))


def load_artifact(path: Path) -> OnnxModel | Engine:
    """Load an ONNX file or an engine by its suffix."""
    if path.suffix == ".onnx":
        return OnnxModel.load(path)
    if path.suffix == ".engine":
        return Engine.load(path)
    raise ArtifactError(f"Cannot tell what {path} is", expected="a name ending in .onnx or .engine")


class Session:
    """An opened artifact; a context manager.

    `run` is the hot path: one comparison of shapes, then the backend.
    """

    def __init__(self, artifact: OnnxModel | Engine, backend: Backend) -> None:
        self.artifact = artifact
        self._backend = backend
        self._input = artifact.inputs[0]
        self._checked: tuple[int, ...] | None = None
        self._closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `run` takes."""
        return self.artifact.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives."""
        return self.artifact.outputs

    @property
    def info(self) -> dict[str, Any]:
        """The backend, its version, the device, and the precision of the artifact's graph."""
        return {**self._backend.info, "precision": self.artifact.precision}

    def run(self, x_nhwc: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map pixels float32 [batch, height, width, channels] to class probabilities.

        Raises:
            ShapeError: another type, rank or channel count, or sides the network cannot halve.
            BadInput: the session is closed.
        """
        if x_nhwc.shape != self._checked or x_nhwc.dtype != np.float32:
            self._check(x_nhwc)
        return self._backend.run(np.ascontiguousarray(x_nhwc))

    def segment(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Map one image [height, width, channels] of any number type to its classes.

        The image is mirrored out to what the network can halve, and the answer cut back. ONNX
        files of free height and width take any size, engines the range they were built for.

        Raises:
            ShapeError: not an image, of other channels than the network's, or out of its range.
        """
        if image.ndim != 3:  # noqa: PLR2004
            raise ShapeError(
                "Cannot segment", got=f"shape {image.shape}", expected="[height, width, channels]"
            )
        height, width, _ = image.shape
        probabilities = self.run(as_batch(image, self.artifact.size_multiple))
        labels: NDArray[np.intp] = probabilities[0, :height, :width].argmax(axis=-1)
        return labels.astype(np.uint8)

    def close(self) -> None:
        """Give back what the backend holds; a closed session cannot run."""
        if not self._closed:
            self._closed = True
            self._checked = None
            self._backend.close()

    def _check(self, x_nhwc: NDArray[Any]) -> None:
        if self._closed:
            raise BadInput("The session is closed", hint="open it again with open_session")
        self._input.check(x_nhwc.shape, x_nhwc.dtype.name)
        multiple = self.artifact.size_multiple
        if any(side % multiple for side in x_nhwc.shape[1:3]):
            raise ShapeError(
                f"The network of {self.artifact.path} cannot halve this image",
                got=f"{x_nhwc.shape[1]} x {x_nhwc.shape[2]}",
                expected=f"sides that are multiples of {multiple}",
                hint="Session.segment mirrors an image out to such a size",
            )
        self._checked = None  # until the backend has said yes, and allocated
        self._backend.check(x_nhwc.shape)
        self._checked = x_nhwc.shape

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

"""Any artifact as a function from pixels to probabilities, for verify and bench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unetrt.parity import Predict

__all__ = ["Predictor", "opened"]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A runnable artifact and what is known about it."""

    name: str
    predict: Predict
    precision: str
    classes: tuple[str, ...]
    size_multiple: int


@contextmanager
def opened(path: Path, backend: str = "auto", name: str | None = None) -> Iterator[Predictor]:
    """Open a .keras, .onnx or .engine file for the length of the block."""
    if path.suffix == ".keras":
        from unetrt import vendor
        from unetrt.artifacts import KerasFile

        KerasFile.load(path)  # before TensorFlow takes its seconds
        vendor.keras()
        from unetrt.builder import load_model

        model, file = load_model(path)
        yield Predictor(
            name or path.name,
            model.predict_on_batch,
            "fp32",
            file.classes,
            file.size_multiple,
        )
        return
    from unetrt.runtime import SessionSpec, open_session

    with open_session(path, SessionSpec(backend=backend)) as session:
        artifact = session.artifact
        yield Predictor(
            name or path.name,
            session.run,
            artifact.precision,
            artifact.classes,
            artifact.size_multiple,
        )

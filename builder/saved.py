"""Keras models as files, with a sidecar that says what their classes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from unetrt import vendor
from unetrt.artifacts import KerasFile
from unetrt.errors import ArtifactError
from unetrt.files import replacing, sha256_of

from .evaluate import size_multiple
from .losses import CrossEntropyDice

__all__ = ["load_model", "save_model"]


def save_model(
    model: keras.Model,
    path: Path,
    *,
    classes: tuple[str, ...],
    source: dict[str, Any],
    made_with: dict[str, Any],
) -> KerasFile:
    """Write `model` to `path` (.keras), and the sidecar beside it."""
    with replacing(path) as temporary:
        model.save(temporary)
    versions = {name: vendor.version(name) for name in ("keras", "tensorflow", "unetrt")}
    saved = KerasFile(
        path, sha256_of(path), classes, size_multiple(model), source, made_with | versions
    )
    saved.save_sidecar()
    return saved


def load_model(path: Path) -> tuple[keras.Model, KerasFile]:
    """Read a model and what is known about it; code inside the file is not run (safe mode).

    Raises:
        ArtifactError: the file is missing, damaged, not a Keras model, or not the one its
            sidecar describes.
    """
    file = KerasFile.load(path)
    try:
        model = keras.saving.load_model(
            path, custom_objects={"CrossEntropyDice": CrossEntropyDice}, compile=False
        )
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ArtifactError(
            f"Cannot read {path}",
            got=(str(error).strip() or type(error).__name__).splitlines()[0],
            expected="a whole Keras model of built-in layers",
        ) from error
    if not file.classes:
        numbers = tuple(f"class{k}" for k in range(1, model.output_shape[-1] or 1))
        file = KerasFile(path, file.sha256, ("background", *numbers), size_multiple(model))
    return model, file

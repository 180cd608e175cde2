"""Keras models as files, with a sidecar that says what their classes are."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras

from unetrt import vendor
from unetrt.artifacts import KerasFile
from unetrt.errors import ArtifactError, UnsupportedModel
from unetrt.keras_models import size_rule

from .foreign_layers import explain

__all__ = ["load_model", "read_model", "save_model"]


def save_model(
    model: keras.Model,
    path: Path,
    *,
    classes: tuple[str, ...],
    source: dict[str, Any],
    made_with: dict[str, Any],
) -> KerasFile:
    """Write `model` to `path` (.keras), and the sidecar beside it."""
    versions = {name: vendor.version(name) for name in ("keras", "tensorflow", "unetrt")}
    return KerasFile.write(
        path,
        model.save,
        classes=classes,
        sizes=size_rule(model),
        source=source,
        made_with=made_with | versions,
    )


def read_model(path: Path) -> tuple[keras.Model, KerasFile]:
    """Read any Keras model, .keras or .h5; code inside the file is not run (safe mode).

    Classes of a model from elsewhere are unknown.

    Raises:
        ArtifactError: the file is missing, damaged, has layers that are not Keras' own, or is not
            the one its sidecar describes.
    """
    file = KerasFile.load(path)
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError, BadZipFile) as error:
        raise ArtifactError(
            f"Cannot read {path}",
            got=explain(path, error),
            expected="a whole Keras model of built-in layers",
            hint="a model with layers of your own can be exported from Python, where it is built",
        ) from error
    return model, file


def load_model(path: Path) -> tuple[keras.Model, KerasFile]:
    """Read a segmentation model and what is known about it, as `read_model` does.

    Classes of a model from elsewhere are numbered.

    Raises:
        ArtifactError: see `read_model`.
        UnsupportedModel: not one image in and one map of two or more classes out.
    """
    model, file = read_model(path)
    _check_segmentation(path, model)
    if not file.classes:
        numbers = tuple(f"class{k}" for k in range(1, model.output_shape[-1]))
        file = KerasFile(path, file.sha256, ("background", *numbers), size_rule(model))
    return model, file


def _check_segmentation(path: Path, model: keras.Model) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedModel(
            f"Cannot use the model in {path}",
            got=f"{len(model.inputs)} inputs and {len(model.outputs)} outputs",
            expected="one of each",
        )
    for what, shape in (("input", model.input_shape), ("output", model.output_shape)):
        if len(shape) != 4 or shape[-1] is None:  # noqa: PLR2004
            raise UnsupportedModel(
                f"Cannot use the model in {path}",
                got=f"an {what} of shape {shape}",
                expected="[batch, height, width, channels] with the channels known",
            )
    if model.output_shape[-1] < 2:  # noqa: PLR2004
        raise UnsupportedModel(
            f"Cannot use the model in {path}",
            got="one output channel",
            expected="one for each class, the background included",
            hint="for a sigmoid head p, put Concatenate()([1 - p, p]) behind it",
        )

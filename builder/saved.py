"""Save and load Keras models, with a sidecar that says what their classes are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import h5py
import keras

from unetrt import vendor
from unetrt.artifacts import KerasFile
from unetrt.errors import ArtifactError, UnsupportedModel
from unetrt.keras_models import size_rule

__all__ = ["load_model", "read_model", "save_model"]


def explain(path: Path, error: Exception) -> str:
    """Return in one line why Keras would not read the model in `path`, naming its layer."""
    words = str(error).strip() or type(error).__name__
    custom = re.search(r"Could not locate class '(\w+)'|Unknown layer: '(\w+)'", words)
    if custom:
        return _named(path, custom[1] or custom[2]) + ", which is not one of Keras'"
    if "`Lambda`" in words:
        return _named(path, "Lambda") + ", whose code would have to be run"
    return words.splitlines()[0]


def _named(path: Path, class_name: str) -> str:
    names = [name for kind, name in _layers(_configuration(path)) if kind == class_name and name]
    return f"the layer {names[0]!r} of class {class_name}" if names else f"the class {class_name}"


def _configuration(path: Path) -> Any:
    try:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                return json.loads(file.attrs["model_config"])
        with ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except (OSError, BadZipFile, KeyError, ValueError):
        return {}


def _layers(config: Any) -> Iterator[tuple[str, str]]:
    """Yield the class and name of every object that the configuration describes."""
    parts = config.values() if isinstance(config, dict) else config
    if isinstance(config, dict) and isinstance(config.get("config"), dict):
        yield (
            str(config.get("class_name")),
            str(config["config"].get("name") or config.get("name", "")),
        )
    for part in parts:
        if isinstance(part, (dict, list)):
            yield from _layers(part)


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

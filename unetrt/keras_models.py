"""Save, load and inspect Keras models; TensorFlow is imported when a model is loaded.

Building and converting share it, and what compares a Keras model with others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from unetrt import vendor
from unetrt.artifacts import KerasFile
from unetrt.errors import ArtifactError, UnsupportedModel
from unetrt.sizes import SizeRule

if TYPE_CHECKING:
    import keras

    from unetrt.normalization import Normalization

__all__ = [
    "in_full_precision",
    "load_model",
    "read_model",
    "save_model",
    "size_rule",
]


_MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_UNPADDED = _MULTIPLES[:6]
_LARGE = 2048
"""Pixels that no margin uses up."""

_HALF = re.compile(r'"(mixed_)?b?float16"')


def size_rule(model: keras.Model) -> SizeRule:
    """Find the heights and widths that `model` takes, and by how much its output is smaller.

    Strides, poolings and branches of every kind count.

    Args:
        model: one image [batch, height, width, channels] in, one map out.

    Raises:
        UnsupportedModel: no rule holds: the output is half the size, or shifted, or of no size.

    Example:
        >>> import keras
        >>> image = keras.Input((None, None, 1))
        >>> size_rule(keras.Model(image, keras.layers.Conv2D(2, 3)(image)))
        SizeRule(multiple=1, remainder=0, margin=1)
    """
    _, height, width, _ = model.input_shape
    if height is not None and width is not None:
        margin = _margin(model, (height, width))
        if margin is not None:
            # Its one size is all that counts; one rule must do for both sides.
            return SizeRule(1, 0, margin)
    else:
        for multiple in _MULTIPLES:  # odd, so that nothing smaller passes
            if _margin(model, _sides(model, 3 * multiple, 5 * multiple)) == 0:
                return SizeRule(multiple)
        for multiple in _UNPADDED:
            rules = [
                SizeRule(multiple, remainder, margin)
                for remainder in range(multiple)
                if (margin := _margin(model, _unalike(model, multiple, remainder))) is not None
            ]
            if rules:  # where a pooling drops a last row, more is lost than need be
                return min(rules, key=lambda rule: rule.margin)
    raise UnsupportedModel(
        f"Cannot find a size that {model.name!r} gives back",
        got=f"an output of {model.output_shape}, or another size at every multiple up to 256",
        expected="a map as large as the image, or smaller by the same margin at every edge",
    )


def in_full_precision(model: keras.Model) -> keras.Model:
    """Return `model` or, if any layer computes in half precision, a float32 copy of it.

    The copy is made anew from the configuration: setting the layers' policies would leave the
    inputs of nested models in half precision.

    Example:
        >>> import keras
        >>> image = keras.Input((8, 8, 1))
        >>> half = keras.Model(image, keras.layers.Conv2D(2, 1, dtype="mixed_float16")(image))
        >>> half.output.dtype, in_full_precision(half).output.dtype
        ('float16', 'float32')
    """
    if all(_computes_in_float32(layer) for layer in model._flatten_layers()):  # noqa: SLF001
        return model
    config: dict[str, Any] = json.loads(_HALF.sub('"float32"', json.dumps(model.get_config())))
    copy = type(model).from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def save_model(
    model: keras.Model,
    path: Path,
    *,
    classes: tuple[str, ...],
    source: dict[str, Any],
    made_with: dict[str, Any],
    normalization: Normalization | None = None,
) -> KerasFile:
    """Write a Keras model, and the sidecar beside it, whole or not at all.

    Args:
        model: one image [batch, height, width, channels] in, one map of classes out.
        path: the file to write, a .keras.
        classes: their names, the background first.
        source: JSON-ready values that name the data of the model.
        made_with: JSON-ready values that say how it was made; versions are added.
        normalization: of the pixels that it takes; None where they are as they are stored.

    Raises:
        UnsupportedModel: no rule says which sizes the model takes.
        OutputError: `path` cannot be written.

    Example:
        >>> import keras
        >>> image = keras.Input((None, None, 1))
        >>> model = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
        >>> classes = ("background", "cell")
        >>> file = save_model(model, Path("cells.keras"), classes=classes, source={}, made_with={})
        >>> file.classes, file.sizes.margin
        (('background', 'cell'), 1)
    """
    versions = {name: vendor.version(name) for name in ("keras", "tensorflow", "unetrt")}
    return KerasFile.write(
        path,
        model.save,
        classes=classes,
        sizes=size_rule(model),
        source=source,
        normalization=normalization,
        made_with=made_with | versions,
    )


def read_model(path: Path) -> tuple[keras.Model, KerasFile]:
    """Read any Keras model, .keras or .h5; code inside the file is not run (safe mode).

    Classes of a model from elsewhere are unknown. It may have any inputs and outputs.

    Raises:
        ArtifactError: the file is missing, damaged, has layers that are not Keras' own, or is not
            the one its sidecar describes.
    """
    file = KerasFile.load(path)
    try:
        model = vendor.keras().saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError, BadZipFile) as error:
        raise ArtifactError(
            f"Cannot read {path}",
            got=_explain(path, error),
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

    Example:
        >>> model, file = load_model(Path("model.keras"))
        >>> model.output_shape, file.classes
        ((None, None, None, 2), ('background', 'disc'))
    """
    model, file = read_model(path)
    _check_segmentation(path, model)
    if not file.classes:
        numbers = tuple(f"class{k}" for k in range(1, model.output_shape[-1]))
        file = KerasFile(path, file.sha256, ("background", *numbers), size_rule(model))
    return model, file


def _unalike(model: keras.Model, multiple: int, remainder: int) -> tuple[int, int]:
    """Return two large sides that fit.

    They are so far apart that half the multiple does not suit both, and that an output of half
    the size is not taken for one with a margin.
    """
    first = _LARGE // multiple * multiple + remainder
    return _sides(model, first, first + 3 * multiple)


def _sides(model: keras.Model, height: int, width: int) -> tuple[int, int]:
    """Return height and width, or those that the model fixes in their place."""
    _, own_height, own_width, _ = model.input_shape
    return own_height or height, own_width or width


def _margin(model: keras.Model, sides: tuple[int, int]) -> int | None:
    """Return by how much the output is smaller at each edge; None where there is no such number."""
    try:
        output = model.compute_output_shape((1, *sides, model.input_shape[-1]))[1:3]
    except ValueError:  # a skip that does not fit what it is joined to
        return None
    lost = [side - own for side, own in zip(sides, output, strict=True)]
    return lost[0] // 2 if lost[0] == lost[1] >= 0 and lost[0] % 2 == 0 else None


def _computes_in_float32(layer: keras.layers.Layer) -> bool:
    return bool(layer.compute_dtype == layer.variable_dtype)


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


def _explain(path: Path, error: Exception) -> str:
    """Say in one line why Keras would not read the model in `path`, naming its layer."""
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
    import h5py  # noqa: PLC0415  (TensorFlow brings it)

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

"""Start a training from a Keras model of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from unetrt import vendor
from unetrt.artifacts import KerasFile
from unetrt.errors import ArtifactError, BadInput, UnsupportedModel

if TYPE_CHECKING:
    import keras

__all__ = ["StartingModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingModel:
    """Name the model that a training starts from, in the place of a new network.

    Attributes:
        path: of the .keras or .h5 file, absolute.
        sha256: of the file.

    Example:
        >>> file = KerasFile.load(Path("model.keras"))
        >>> start = StartingModel.of(file, classes=("background", "disc"))
        >>> start.load().trainable
        True
    """

    path: str
    sha256: str

    @classmethod
    def of(cls, file: KerasFile, *, classes: tuple[str, ...]) -> Self:
        """Take a model to train on data of these classes.

        Raises:
            BadInput: its own classes are of another number, or in another order.
        """
        shuffled = file.classes != classes and sorted(file.classes) == sorted(classes)
        if file.classes and (shuffled or len(file.classes) != len(classes)):
            raise BadInput(
                f"Cannot start from {file.path}",
                got=f"a model of the classes {', '.join(file.classes)}",
                expected=f"those of the data: {', '.join(classes)}",
            )
        return cls(path=str(file.path.resolve()), sha256=file.sha256)

    def load(self) -> keras.Model:
        """Read the model; all of its layers train, whatever the file says.

        Raises:
            ArtifactError: the file is missing or damaged, or has changed.
            UnsupportedModel: not one image in and one map of two or more classes out, or no
            activation behind it.
        """
        from unetrt.keras_models import load_model  # noqa: PLC0415  (TensorFlow takes seconds)

        model, file = load_model(Path(self.path))
        if file.sha256 != self.sha256:
            raise ArtifactError(
                f"Cannot start from {self.path}",
                got="another file than the training was planned with",
                hint="plan the training again",
            )
        last = _last_layer(model)
        if getattr(last, "activation", None) is vendor.keras().activations.linear:
            raise UnsupportedModel(
                f"Cannot start from {self.path}",
                got=f"the layer {last.name!r} at its end, without an activation",
                expected="probabilities of the classes",
                hint="put a softmax behind it",
            )
        model.trainable = True
        return model


def _last_layer(model: keras.Model) -> keras.layers.Layer:
    """Return the layer that the output comes from, in whatever model it lies."""
    last = model.outputs[0]._keras_history.operation  # noqa: SLF001  (Keras has no other way)
    return _last_layer(last) if hasattr(last, "layers") else last

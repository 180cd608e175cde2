"""What goes into a Keras model and what comes out, by name, whatever kind of model it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from unetrt.errors import UnsupportedModel

__all__ = ["Port", "Signature", "read_signature"]

_IMAGE_RANK = 4


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output: its name, type, and shape with None for free axes."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @property
    def is_image(self) -> bool:
        """Whether it is [batch, height, width, channels]."""
        return len(self.shape) == _IMAGE_RANK

    def check(self, model: str) -> None:
        """Raise UnsupportedModel where an axis is free that no size can be chosen for."""
        if None in (self.shape[3:] if self.is_image else self.shape[1:]):
            raise UnsupportedModel(
                f"Cannot convert the model {model!r}",
                got=f"an input {self.name!r} of shape {self.shape}",
                expected="no axis free but batch, height and width of an image",
                hint="give it a fixed size with keras.Input",
            )

    def at(self, size: tuple[int, int]) -> tuple[int | None, ...]:
        """Return the shape with a free height and width replaced by those of `size`."""
        if not self.is_image:
            return self.shape
        sides = (own or wanted for own, wanted in zip(self.shape[1:3], size, strict=True))
        return (self.shape[0], *sides, self.shape[3])


@dataclass(frozen=True, slots=True)
class Signature:
    """How to call a model: a nested structure as it expects, flat here.

    Attributes:
        inputs: in the order of `keras.tree.flatten(structure)`.
        structure: the model's own nesting of its inputs.
    """

    inputs: tuple[Port, ...]
    structure: Any

    def pack(self, tensors: list[Any]) -> Any:
        """Nest flat tensors as the model expects them."""
        return keras.tree.pack_sequence_as(self.structure, tensors)


def read_signature(model: keras.Model) -> Signature:
    """Read how to call `model`; one that is subclassed must have been called once.

    Raises:
        UnsupportedModel: it was never built, or a free axis is neither batch, height nor width.
    """
    inputs = getattr(model, "inputs", None)
    if inputs:
        sequential = isinstance(model, keras.Sequential)
        structure = inputs[0] if sequential else model.input
        # Flat in the order of the structure: `model.inputs` is, too.
        tensors = keras.tree.flatten(structure)
        ports = tuple(Port(t.name, _full(t.dtype), _shape(model, t)) for t in tensors)
    else:
        ports, structure = _recorded(model)
    for port in ports:
        port.check(model.name)
    return Signature(ports, structure)


def _shape(model: keras.Model, tensor: Any) -> tuple[int | None, ...]:
    if tensor.shape is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got=f"an input {tensor.name!r} of unknown rank",
            expected="[batch, height, width, channels]",
        )
    return tuple(tensor.shape)


def _full(dtype: str) -> str:
    """Return float32 for half precision: models are traced in float32."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _recorded(model: keras.Model) -> tuple[tuple[Port, ...], Any]:
    """Return what a subclassed model recorded when it was first called."""
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shapes is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got="a model that was never built, or takes several arguments",
            expected="one that takes its inputs as one argument, and knows their shapes",
            hint="call it once on an example, or build it with model.build(shape)",
        )
    names, structure = _named(shapes, "input")
    dtype = keras.backend.floatx()
    ports = tuple(Port(name, dtype, (None, *shape[1:])) for name, shape in names)
    return ports, structure


def _named(shapes: Any, name: str) -> tuple[list[tuple[str, tuple[int | None, ...]]], Any]:
    """Flatten nested shapes in the order of keras.tree; a leaf is a tuple of numbers."""
    if isinstance(shapes, dict):
        by_key = {key: _named(shapes[key], str(key)) for key in sorted(shapes)}
        return [p for part, _ in by_key.values() for p in part], {
            k: s for k, (_, s) in by_key.items()
        }
    if all(side is None or isinstance(side, int) for side in shapes):
        return [(name, tuple(shapes))], 0
    parts = [_named(part, f"{name}_{k}") for k, part in enumerate(shapes)]
    return [p for part, _ in parts for p in part], [s for _, s in parts]

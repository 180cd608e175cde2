"""The sizes an engine is built for: the smallest, the most usual and the largest of each input."""

from __future__ import annotations

from typing import NamedTuple

from unetrt.artifacts import OnnxModel
from unetrt.errors import ShapeError
from unetrt.tensors import ShapeRange, TensorSpec

from .engine_spec import EngineSpec

__all__ = ["Profile", "input_profiles"]

_FREE_BATCH = ShapeRange(1, 1, 8)
_FREE_SIDE = ShapeRange(256, 256, 512)
_IMAGE_RANK = 4


class Profile(NamedTuple):
    """The shapes of one input."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


def input_profiles(model: OnnxModel, spec: EngineSpec) -> dict[str, Profile]:
    """Return the shapes of each input by its name; axes that the model fixes stay.

    Raises:
        ShapeError: a size that the network cannot halve or that the model does not leave free, or
            a free axis that is neither the batch nor a side of an image.
    """
    layout = model.layout
    roles = [_roles(tensor, layout) for tensor in model.inputs]
    ranges = {
        "batch": _range(model, roles, "batch", spec.batch),
        "height": _range(model, roles, "height", spec.height),
        "width": _range(model, roles, "width", spec.width),
    }
    return {
        tensor.name: _profile(model, tensor, own, ranges)
        for tensor, own in zip(model.inputs, roles, strict=True)
    }


def _roles(tensor: TensorSpec, layout: str) -> dict[str, int]:
    """Return which axis of an input is its batch and, of an image, its height and width."""
    if len(tensor.shape) != _IMAGE_RANK:
        return {"batch": 0} if tensor.shape else {}
    height = layout.index("H")
    return {"batch": 0, "height": height, "width": height + 1}


def _range(
    model: OnnxModel, roles: list[dict[str, int]], role: str, given: ShapeRange | None
) -> ShapeRange:
    """Return the range of `role`, checked where it was given."""
    own = [
        tensor.shape[axes[role]]
        for tensor, axes in zip(model.inputs, roles, strict=True)
        if role in axes
    ]
    if given is None:
        return _FREE_BATCH if role == "batch" else _FREE_SIDE
    if role != "batch":
        for size in (given.min, given.opt, given.max):
            _check_side(model, role, size)
    fixed = [size for size in own if isinstance(size, int)]
    if fixed and len(fixed) == len(own) and set(fixed) != {given.min, given.max}:
        raise ShapeError(
            f"{model.path} has a fixed {role}",
            got=str(given),
            expected=" and ".join(map(str, sorted(set(fixed)))),
        )
    return given


def _check_side(model: OnnxModel, role: str, size: int) -> None:
    if not model.sizes.fits(size):
        raise ShapeError(
            f"{model.path} cannot halve this {role}",
            got=size,
            expected=f"{model.sizes}",
            hint=f"the next that works is {model.sizes.at_least(size)}",
        )


def _profile(
    model: OnnxModel, tensor: TensorSpec, roles: dict[str, int], ranges: dict[str, ShapeRange]
) -> Profile:
    role_of = {axis: role for role, axis in roles.items()}
    ends: dict[str, list[int]] = {"min": [], "opt": [], "max": []}
    for axis, size in enumerate(tensor.shape):
        if not isinstance(size, int) and axis not in role_of:
            raise ShapeError(
                f"Input {tensor.name!r} of {model.path} has a free axis that is no batch, height "
                "or width",
                got=str(tensor),
                expected="a fixed size there",
                hint="export the model with that axis fixed",
            )
        for end, sizes in ends.items():
            sizes.append(size if isinstance(size, int) else getattr(ranges[role_of[axis]], end))
    for role in ("height", "width"):
        if role in roles and not isinstance(tensor.shape[roles[role]], int):
            for sizes in ends.values():
                _check_side(model, role, sizes[roles[role]])
    return Profile(*(tuple(sizes) for sizes in ends.values()))

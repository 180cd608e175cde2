"""Configure a TensorRT builder: flags, optimisation profiles, target GPUs, timing cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetrt.artifacts import OnnxModel
from unetrt.caches import read_cache, write_cache
from unetrt.errors import BadInput, NoDevice, ShapeError
from unetrt.gpu import Gpu
from unetrt.tensors import ShapeProfile, ShapeRange, TensorSpec

from .engine_spec import HARDWARE_LEVELS, EngineSpec

__all__ = [
    "configure",
    "input_profiles",
    "store_timing_cache",
    "use_timing_cache",
]

_FREE_BATCH = ShapeRange(1, 1, 8)
_FREE_SIDE = ShapeRange(256, 256, 512)


def input_profiles(model: OnnxModel, spec: EngineSpec) -> dict[str, ShapeProfile]:
    """Return the shapes of each input by its name; axes that the model fixes stay.

    Raises:
        ShapeError: a size that the network cannot take or that the model does not leave free, or
            a free axis that is neither the batch nor a side of an image.

    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> spec = EngineSpec(batch=ShapeRange(1, 1, 4), height=ShapeRange(32, 64, 128))
    >>> input_profiles(model, spec)["image"].max
    (4, 128, 512, 1)
    """
    roles = [_roles(tensor) for tensor in model.inputs]
    ranges = {
        "batch": _range(model, roles, "batch", spec.batch),
        "height": _range(model, roles, "height", spec.height),
        "width": _range(model, roles, "width", spec.width),
    }
    return {
        tensor.name: _profile(model, tensor, own, ranges)
        for tensor, own in zip(model.inputs, roles, strict=True)
    }


def configure(
    trt: Any, builder: Any, spec: EngineSpec, profiles: Mapping[str, ShapeProfile], gpu: Gpu | None
) -> Any:
    """Return the configuration that builds for `spec` and for the shapes in `profiles`.

    Raises:
        BadInput: a target that the library does not know.
        NoDevice: the current GPU is the target, and there is none.
    """
    config = builder.create_builder_config()
    for name, wanted in _flags(spec).items():
        flag = getattr(trt.BuilderFlag, name)
        (config.set_flag if wanted else config.clear_flag)(flag)
    # Without the details the inspector gives the names of layers only.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if spec.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, spec.workspace_bytes)
    if spec.optimization_level is not None:
        config.builder_optimization_level = spec.optimization_level
    if spec.hardware_compatibility is not None:
        level = HARDWARE_LEVELS[spec.hardware_compatibility]
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)
    if spec.targets:
        _set_targets(trt, config, spec.targets, gpu)
    profile = builder.create_optimization_profile()
    for name, shapes in profiles.items():
        profile.set_shape(name, *shapes)
    config.add_optimization_profile(profile)
    return config


def use_timing_cache(config: Any, path: Path) -> str | None:
    """Let the builder use the timings stored at `path`; return a warning where they do not fit."""
    cache = config.create_timing_cache(read_cache(path))
    if cache is not None and config.set_timing_cache(cache, False):
        return None
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return f"The timing cache {path} does not fit this library and GPU; it is started again."


def store_timing_cache(config: Any, path: Path) -> str | None:
    """Store the builder's timings at `path`; return a warning where that fails."""
    return write_cache(path, bytes(memoryview(config.get_timing_cache().serialize())))


def _roles(tensor: TensorSpec) -> dict[str, int]:
    """Return the axes of an input that are its batch and, of an image, its height and width."""
    if not tensor.is_image:
        return {"batch": 0} if tensor.shape else {}
    return {"batch": 0, "height": tensor.height_axis, "width": tensor.width_axis}


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
    if not own:
        raise ShapeError(
            f"{model.path} takes nothing that has a {role}",
            got=", ".join(map(str, model.inputs)),
            hint=f"leave out `{role}`",
        )
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
) -> ShapeProfile:
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
    return ShapeProfile(*(tuple(sizes) for sizes in ends.values()))


def _flags(spec: EngineSpec) -> dict[str, bool]:
    """Return the flags that are not left at the library's defaults."""
    return {
        "TF32": spec.tf32,  # on by default, and silent about it
        **{
            name: True
            for name, wanted in {
                "REFIT": spec.refittable,
                "REFIT_IDENTICAL": spec.stripped and not spec.refittable,
                "STRIP_PLAN": spec.stripped,
                "VERSION_COMPATIBLE": spec.version_compatible,
            }.items()
            if wanted
        },
    }


def _set_targets(trt: Any, config: Any, targets: tuple[str, ...], gpu: Gpu | None) -> None:
    """Set `targets` ("8.6", "current", "all") on a TensorRT-RTX builder's configuration."""
    known = _capabilities(trt)
    chosen: dict[str, Any] = {}
    for target in targets:
        if target == "all":
            chosen |= known
        elif target == "current":
            if gpu is None:
                raise NoDevice(
                    "Cannot build for the current GPU",
                    got="no NVIDIA GPU with a driver",
                    hint=f"name the GPUs to build for: `targets={tuple(known)}`",
                )
            chosen["current"] = trt.ComputeCapability.CURRENT
        elif target in known:
            chosen[target] = known[target]
        else:
            raise BadInput(
                f"TensorRT-RTX {trt.__version__} cannot build for this compute capability",
                got=repr(target),
                expected=", ".join((*known, "current or all")),
            )
    if "current" in chosen and len(chosen) > 1:
        raise BadInput(
            "The target current stands alone", got=", ".join(targets), expected="current, or others"
        )
    config.num_compute_capabilities = len(chosen)
    for index, (target, capability) in enumerate(chosen.items()):
        if not config.set_compute_capability(capability, index):
            raise BadInput(f"TensorRT-RTX {trt.__version__} refuses the target", got=target)


def _capabilities(trt: Any) -> dict[str, Any]:
    """Map "8.6" and so on to the library's names, such as SM86 and, for 12.0, SM120."""
    members = trt.ComputeCapability.__members__
    return {
        f"{name[2:-1]}.{name[-1]}": member
        for name, member in members.items()
        if name.startswith("SM")
    }

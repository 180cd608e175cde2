"""A builder's configuration from a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unetrt.gpu import Gpu

from .engine_spec import HARDWARE_LEVELS, EngineSpec
from .profiles import Profile
from .targets import set_targets

__all__ = ["configure"]


def configure(
    trt: Any, builder: Any, spec: EngineSpec, profiles: Mapping[str, Profile], gpu: Gpu | None
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
    # Without the details the inspector tells layers' names only.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if spec.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, spec.workspace_bytes)
    if spec.optimization_level is not None:
        config.builder_optimization_level = spec.optimization_level
    if spec.hardware_compatibility is not None:
        level = HARDWARE_LEVELS[spec.hardware_compatibility]
        config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, level)
    if spec.targets:
        set_targets(trt, config, spec.targets, gpu)
    profile = builder.create_optimization_profile()
    for name, shapes in profiles.items():
        profile.set_shape(name, *shapes)
    config.add_optimization_profile(profile)
    return config


def _flags(spec: EngineSpec) -> dict[str, bool]:
    """Return the flags that are not left as the library has them."""
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

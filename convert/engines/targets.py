"""The compute capabilities that a TensorRT-RTX engine is built for."""

from __future__ import annotations

from typing import Any

from unetrt.errors import BadInput, NoDevice
from unetrt.gpu import Gpu

__all__ = ["set_targets"]


def set_targets(trt: Any, config: Any, targets: tuple[str, ...], gpu: Gpu | None) -> None:
    """Set `targets` ("8.6", "current", "all") on a TensorRT-RTX builder's configuration.

    Raises:
        BadInput: the library cannot build for one of them; lists those that it can.
        NoDevice: "current", and there is no GPU.
    """
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
                    hint=f"name what to build for: --target {' or --target '.join(known)}",
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
    """Return "8.6" and so on, and the library's name for each; SM86 is 8.6, SM120 is 12.0."""
    members = trt.ComputeCapability.__members__
    return {
        f"{name[2:-1]}.{name[-1]}": member
        for name, member in members.items()
        if name.startswith("SM")
    }

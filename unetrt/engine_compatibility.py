"""Check by its sidecar alone that an engine can be opened on this machine."""

from __future__ import annotations

import os

from unetrt.artifacts import Engine
from unetrt.errors import ArtifactError, NoDevice
from unetrt.gpu import Gpu

__all__ = ["HOST_CODE", "check_gpu", "check_version", "check_weights"]

HOST_CODE = "UNETRT_ALLOW_HOST_CODE"
"""The environment variable that, at 1, lets version-compatible engines run code on the CPU."""

_AMPERE = 8.0


def check_gpu(engine: Engine, gpu: Gpu | None) -> Gpu:
    """Return the GPU that runs an engine.

    Args:
        engine: to be opened.
        gpu: of this machine; None where there is none.

    Raises:
        NoDevice: there is no GPU, or not the one that the engine was built for.

    >>> from pathlib import Path
    >>> check_gpu(Engine(Path("m.engine"), "", backend="tensorrt"), None)
    Traceback (most recent call last):
        ...
    unetrt.errors.NoDevice: Cannot open m.engine here: got no NVIDIA GPU with a driver, expected a
    GPU to execute TensorRT engines; copy the engine and its .json to a machine that has one.
    """
    if gpu is None:
        raise NoDevice(
            f"Cannot open {engine.path} here",
            got="no NVIDIA GPU with a driver",
            expected="a GPU to execute TensorRT engines",
            hint="copy the engine and its .json to a machine that has one",
        )
    wanted = _expected_gpu(engine, gpu)
    if wanted is not None:
        raise NoDevice(
            f"{engine.path} was built for another GPU",
            got=f"{gpu.name} of compute capability {gpu.compute_capability}",
            expected=wanted,
            hint="build it again on this machine from its ONNX file"
            if engine.backend == "tensorrt"
            else f"build it again with `targets=({gpu.compute_capability!r},)`",
        )
    return gpu


def check_weights(engine: Engine) -> None:
    """Refuse an engine whose weights were left out and never put in.

    Raises:
        ArtifactError: says how to put them in.

    >>> from pathlib import Path
    >>> check_weights(Engine(Path("m.engine"), "", stripped=True))
    Traceback (most recent call last):
        ...
    unetrt.errors.ArtifactError: m.engine was built without its weights; refit it first, with the
    ONNX file that it was built from.
    """
    if engine.stripped:
        raise ArtifactError(
            f"{engine.path} was built without its weights",
            hint="refit it first, with the ONNX file that it was built from",
        )


def check_version(engine: Engine, installed: str) -> None:
    """Refuse an engine that another version of its library built.

    A version-compatible one may be older than the library. It carries code that runs on the CPU,
    and a file can come from anywhere: that takes UNETRT_ALLOW_HOST_CODE=1 in the environment.

    Args:
        engine: to be opened.
        installed: version of the library, such as "11.4.0.106".

    Raises:
        ArtifactError: the versions differ, or the engine's own code was not allowed.

    >>> from pathlib import Path
    >>> engine = Engine(Path("m.engine"), "", backend="tensorrt", backend_version="11.0.0.114")
    >>> check_version(engine, "11.0.0.114")
    >>> check_version(engine, "11.4.0.106")
    Traceback (most recent call last):
        ...
    unetrt.errors.ArtifactError: m.engine was built by another tensorrt: got 11.0.0.114, expected
    11.4.0.106, as installed; engines do not cross versions: build it again from its ONNX file.
    """
    compatible = engine.target.version_compatible
    if engine.backend_version != installed and not (
        compatible and _numbers(engine.backend_version) < _numbers(installed)
    ):
        raise ArtifactError(
            f"{engine.path} was built by another {engine.backend}",
            got=engine.backend_version,
            expected=f"{installed} or older" if compatible else f"{installed}, as installed",
            hint="engines do not cross versions: build it again from its ONNX file",
        )
    if compatible and os.environ.get(HOST_CODE) != "1":
        raise ArtifactError(
            f"{engine.path} is version-compatible and so carries code that runs on the CPU",
            hint=f"set {HOST_CODE}=1 if you trust who built it, or build it for this version alone",
        )


def _expected_gpu(engine: Engine, gpu: Gpu) -> str | None:
    """Return the GPU that the engine wants, or None where this one will do."""
    target, own = engine.target, gpu.compute_capability
    if engine.backend == "tensorrt-rtx":
        current = None if target.gpu is None else target.gpu.compute_capability
        targets = [current if one == "current" else one for one in target.compute_capabilities]
        # What "all" are, and what the library takes by itself, the engine's header says.
        fits = not targets or "all" in targets or own in targets
        return None if fits else f"compute capability {' or '.join(map(str, targets))}"
    if target.gpu is None:
        return None
    name, capability = target.gpu.name, target.gpu.compute_capability
    match target.hardware_compatibility:
        case "ampere-plus":
            return None if float(own) >= _AMPERE else "compute capability 8.0 or newer"
        case "same-compute-capability":
            return None if own == capability else f"compute capability {capability}"
        case _:
            fits = (gpu.name, own) == (name, capability)
            return None if fits else f"{name} of compute capability {capability}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())

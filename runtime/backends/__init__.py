"""Choose the library that a session runs on; one file each."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput

from ..session_spec import SessionSpec
from .backend import Backend, DeviceBackend

__all__ = ["Backend", "DeviceBackend", "Opened", "open_backend"]

_FOR_ENGINES = ("tensorrt",)
_FOR_ONNX = ("onnxruntime-tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime")
"""In the order in which "auto" tries them."""


class Opened(NamedTuple):
    """Hold an opened backend, and why it was chosen."""

    backend: Backend
    why: str


def open_backend(artifact: OnnxModel | Engine, spec: SessionSpec) -> Opened:
    """Open `artifact` on the backend asked for; "auto" takes the first that can run it here.

    Raises:
        BadInput: the backend asked for runs other files, or cannot run here; for "auto", what the
            last of them says.
    """
    suitable = _FOR_ENGINES if isinstance(artifact, Engine) else _FOR_ONNX
    if spec.backend != "auto":
        if spec.backend not in suitable:
            raise BadInput(
                f"Backend {spec.backend!r} cannot run {artifact.path}",
                expected=" or ".join(("auto", *suitable)),
            )
        return Opened(_module(spec.backend).open_backend(artifact, spec), "asked for by name")
    passed: list[str] = []
    for name in suitable[:-1]:
        module = _module(name)
        obstacle = module.obstacle(artifact, spec)
        if obstacle is None:
            try:
                return Opened(module.open_backend(artifact, spec), _why(module, passed))
            except BadInput as error:
                obstacle = str(error).rstrip(".")
        passed.append(f"not {name}: {obstacle}")
    last = _module(suitable[-1])
    return Opened(last.open_backend(artifact, spec), _why(last, passed))


def _module(name: str) -> Any:
    return importlib.import_module(f".{name.replace('-', '_')}", __name__)


def _why(module: Any, passed: list[str]) -> str:
    return "; ".join((module.WHY, *passed))

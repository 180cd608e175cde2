"""The libraries a session can run on, one file each."""

from __future__ import annotations

import importlib

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput

from .backend import Backend, DeviceBackend

__all__ = ["Backend", "DeviceBackend", "open_backend"]

_FOR_ONNX = ("onnxruntime", "openvino")


def open_backend(
    artifact: OnnxModel | Engine,
    wanted: str,
    threads: int | None,
    *,
    device: str = "auto",
    stream: object = None,
) -> Backend:
    """Open `artifact` on the backend asked for; "auto" takes the first that suits its kind.

    An engine runs through the device layer and in the stream that are given.
    """
    suitable = ("tensorrt",) if isinstance(artifact, Engine) else _FOR_ONNX
    name = suitable[0] if wanted == "auto" else wanted
    if name not in suitable:
        raise BadInput(
            f"Backend {wanted!r} cannot run {artifact.path}",
            expected=" or ".join(("auto", *suitable)),
        )
    module = importlib.import_module(f".{name}", __name__)
    for_engines = {"device": device, "stream": stream} if isinstance(artifact, Engine) else {}
    backend: Backend = module.open_backend(artifact, threads, **for_engines)
    return backend

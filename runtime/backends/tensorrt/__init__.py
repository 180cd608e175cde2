"""Run engines of TensorRT and TensorRT-RTX, which share one Python API."""

from __future__ import annotations

from unetrt import vendor
from unetrt.artifacts import Engine
from unetrt.engine_compatibility import check_gpu, check_version, check_weights
from unetrt.errors import ArtifactError
from unetrt.gpu import find_gpu

from ...devices import open_device, stream_handle
from ...session_spec import SessionSpec
from .backend import EngineBackend

__all__ = ["WHY", "open_backend"]

WHY = "an engine runs on the library that built it"


def open_backend(engine: Engine, spec: SessionSpec) -> EngineBackend:
    """Open an engine on this machine's GPU, through the spec's device layer and in its stream.

    Raises:
        NoDevice: there is no GPU, it is not the one that the engine was built for, or the library
            refuses it.
        OutOfMemory: there is no room for the engine and one context.
        ArtifactError: the engine was built by another version of its library, or has no weights,
            or is not what its sidecar says.
        BadInput: there is no such device layer, or the stream is not one.
        MissingDependency: the engine's own library or the device layer is not installed.
    """
    gpu = check_gpu(engine, find_gpu())
    check_weights(engine)
    if engine.backend not in vendor.TENSORRT_EXTRAS:
        raise ArtifactError(
            f"{engine.path} was built by a library that unetrt does not know",
            got=repr(engine.backend),
            expected=" or ".join(vendor.TENSORRT_EXTRAS),
        )
    trt = vendor.tensorrt(engine.backend)
    check_version(engine, trt.__version__)
    outside = None if spec.stream is None else stream_handle(spec.stream)
    return EngineBackend(trt, engine, gpu, open_device(spec.device), outside)

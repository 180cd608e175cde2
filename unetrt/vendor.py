"""Import the optional packages that the stages run on; nothing else imports them by name.

A package that is missing raises MissingDependency, which names the extra that brings it.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from unetrt.errors import BadInput, MissingDependency

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "TENSORRT_EXTRAS",
    "cuda_core",
    "cuda_core_views",
    "cuda_runtime",
    "installed",
    "jinja2",
    "keras",
    "matplotlib",
    "need",
    "need_exporter",
    "need_rewriter",
    "nibabel",
    "nilearn_datasets",
    "onnx",
    "onnxruntime",
    "openvino",
    "pycuda_driver",
    "pynvml",
    "tensorflow_has_gpu",
    "tensorflow_without_tf32",
    "tensorrt",
    "torch",
    "version",
    "zarr",
]

TENSORRT_EXTRAS = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
"""Extra that brings each TensorRT backend."""

_OLDEST_TENSORRT = {"tensorrt": (10, 12), "tensorrt-rtx": (1, 7)}


def keras() -> Any:
    """Import Keras on TensorFlow: quietly, with oneDNN, and leaving engines their GPU memory.

    TensorFlow switches oneDNN on by itself only where it sees AVX-512; with AVX2 alone a training
    step of the small network took 0.97 s with it and 1.48 s without.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with _native_stderr_held():
        tensorflow = _tensorflow()
        tensorflow.config.list_logical_devices()  # it announces what it finds
    tensorflow.get_logger().addFilter(_is_no_complaint_of_tracing)
    module = _module("keras", extra="train", purpose="Working with a Keras model")
    backend = module.backend.backend()
    if backend != "tensorflow":
        raise BadInput(
            "Keras runs on another framework",
            got=f"backend {backend!r}",
            expected="'tensorflow'",
            hint="set KERAS_BACKEND=tensorflow",
        )
    return module


def _is_no_complaint_of_tracing(record: logging.LogRecord) -> bool:
    """Return False of a warning that images of several sizes, or several networks, are traced."""
    return "triggered tf.function retracing" not in record.getMessage()


def tensorflow_without_tf32() -> None:
    """Switch off TF32, to which TensorFlow rounds float32 on a GPU by default."""
    _tensorflow().config.experimental.enable_tensor_float_32_execution(False)


def tensorflow_has_gpu() -> bool:
    """Return whether TensorFlow computes on a GPU here."""
    return bool(_tensorflow().config.list_logical_devices("GPU"))


def need_exporter() -> None:
    """Raise MissingDependency unless what exports a Keras model is installed."""
    need("tf2onnx", extra="train", purpose="Converting to ONNX")
    need_rewriter()


def need_rewriter() -> None:
    """Raise MissingDependency unless what rewrites an ONNX file is installed."""
    need("onnx", "onnx_ir", "onnxscript", extra="convert", purpose="Rewriting an ONNX file")


def jinja2() -> Any:
    """Import Jinja."""
    return _module("jinja2", extra="report", purpose="Writing the report")


def onnx() -> Any:
    """Import onnx, which reads ONNX files."""
    return _module("onnx", extra="rtx", purpose="Reading an ONNX file")


def onnxruntime() -> Any:
    """Import ONNX Runtime, with its telemetry off unless the environment says otherwise.

    Since 1.29 it keeps a device id and a queue of events under the user's cache folder, to be sent,
    and starts a thread for it that a forked process waits for (pull requests 27379 and 29843 of
    microsoft/onnxruntime).
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("ORT_TELEMETRY_DISABLED", "1")
    return _module("onnxruntime", extra="cpu", purpose="Running an ONNX file")


def openvino() -> Any:
    """Import OpenVINO."""
    return _module("openvino", extra="openvino", purpose="Running an ONNX file with OpenVINO")


def tensorrt(backend: str) -> Any:
    """Import the library of a TensorRT backend: "tensorrt" or "tensorrt-rtx".

    Raises:
        BadInput: it is older than what the engines' code is written for.
    """
    extra = TENSORRT_EXTRAS[backend]
    module = _module(
        backend.replace("-", "_"), extra=extra, purpose=f"Working with {backend} engines"
    )
    oldest = _OLDEST_TENSORRT[backend]
    if tuple(int(part) for part in module.__version__.split(".")[:2]) < oldest:
        raise BadInput(
            f"Working with {backend} engines needs a newer {backend}",
            got=module.__version__,
            expected=f"{oldest[0]}.{oldest[1]} or newer",
            hint=f"install it with: pip install -U 'unetrt[{extra}]'",
        )
    return module


def torch() -> Any:
    """Import PyTorch, which no extra brings: its wheels differ by CUDA version."""
    return importlib.import_module("torch")


def cuda_runtime() -> Any:
    """Import cuda-python's bindings of the CUDA runtime."""
    return _module("cuda.bindings.runtime", extra="gpu", purpose="Running an engine on the GPU")


def cuda_core() -> Any:
    """Import cuda.core, which hands GPU memory to other libraries by DLPack."""
    return _module("cuda.core", extra="gpu", purpose="Sharing GPU memory by DLPack")


def cuda_core_views() -> Any:
    """Import cuda.core's views of other libraries' GPU memory."""
    return _module("cuda.core.utils", extra="gpu", purpose="Sharing GPU memory by DLPack")


def pycuda_driver() -> Any:
    """Import PyCUDA's driver module."""
    return _module("pycuda.driver", extra="pycuda", purpose="Running an engine through PyCUDA")


def pynvml() -> Any:
    """Import NVML's bindings, which read a GPU's clocks."""
    return _module("pynvml", extra="nvml", purpose="Watching the GPU's clocks")


def nilearn_datasets() -> Any:
    """Import nilearn, whose wheel carries the built-in brain data."""
    return _module("nilearn.datasets", extra="demo", purpose="The built-in brain data")


def nibabel() -> Any:
    """Import nibabel, which reads NIfTI volumes."""
    return _module("nibabel", extra="nifti", purpose="Reading a NIfTI volume")


def zarr() -> Any:
    """Import zarr, which reads and writes arrays chunk by chunk."""
    return _module("zarr", extra="zarr", purpose="A Zarr array, or a part of a compressed TIFF,")


def matplotlib() -> Any:
    """Import matplotlib with its figures, styles and tickers, which draw without a display."""
    for part in ("figure", "style", "ticker"):
        _module(f"matplotlib.{part}", extra="report", purpose="Drawing the report")
    return _module("matplotlib", extra="report", purpose="Drawing the report")


def installed(module: str) -> bool:
    """Return whether a module could be imported; imports at most its parent package."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # no such parent
        return False


def need(*modules: str, extra: str, purpose: str) -> None:
    """Raise MissingDependency unless all of `modules` are installed; imports none of them."""
    for module in modules:
        if not installed(module):
            raise MissingDependency(module, extra=extra, purpose=purpose)


def version(package: str) -> str | None:
    """Return the installed version of a distribution, or None; imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Hold back what native code prints on stderr; show it only if the block fails.

    TensorFlow announces oneDNN and the lack of a GPU at import, whatever the log level.
    """
    sys.stderr.flush()
    own = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(own, held.read())
            raise
        finally:
            os.dup2(own, 2)
            os.close(own)


def _tensorflow() -> Any:
    return _module("tensorflow", extra="train", purpose="Working with a Keras model")


def _module(name: str, *, extra: str, purpose: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise MissingDependency(missing, extra=extra, purpose=purpose) from error
    except (ImportError, OSError) as error:
        raise BadInput(
            f"{purpose} needs {name}, which is installed but does not load", got=error
        ) from error

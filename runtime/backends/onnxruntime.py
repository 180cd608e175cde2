"""ONNX Runtime, on the GPU where its CUDA provider loads, else on the CPU."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError
from unetrt.gpu import find_gpu

__all__ = ["open_backend"]


def open_backend(model: OnnxModel, threads: int | None) -> _OnnxRuntime:
    """Open an ONNX file."""
    return _OnnxRuntime(vendor.onnxruntime(), model, threads)


class _OnnxRuntime:
    def __init__(self, ort: Any, model: OnnxModel, threads: int | None) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        available = ort.get_available_providers()
        providers: list[Any] = ["CPUExecutionProvider"]
        if find_gpu() is not None and "CUDAExecutionProvider" in available:
            # TF32 is on by default there: float32 would not be float32.
            providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
        try:
            self._session = ort.InferenceSession(
                str(model.path), sess_options=options, providers=providers
            )
        except Exception as error:  # ONNX Runtime's own errors share no base but Exception
            raise ArtifactError(f"ONNX Runtime cannot open {model.path}", got=error) from error
        self._inputs = [tensor.name for tensor in model.inputs]
        self._outputs = [tensor.name for tensor in model.outputs]
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.turn = nullcontext()
        self.info = {"backend": "onnxruntime", "version": ort.__version__, "device": provider}

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Any shape that fits the network will do."""

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        return tuple(self._session.run(self._outputs, dict(zip(self._inputs, arrays, strict=True))))

    def close(self) -> None:
        del self._session

"""OpenVINO on the CPU, computing in float32."""

from __future__ import annotations

from contextlib import nullcontext
from queue import Empty, LifoQueue
from typing import Any

from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError

__all__ = ["open_backend"]


def open_backend(model: OnnxModel, threads: int | None) -> _OpenVino:
    """Open an ONNX file."""
    return _OpenVino(vendor.openvino(), model, threads)


class _OpenVino:
    def __init__(self, ov: Any, model: OnnxModel, threads: int | None) -> None:
        # Without the hint a CPU with BF16 would compute in that, silently.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = ov.Core().compile_model(str(model.path), "CPU", config)
        except RuntimeError as error:
            raise ArtifactError(f"OpenVINO cannot open {model.path}", got=error) from error
        self._inputs = [tensor.name for tensor in model.inputs]
        self._outputs = [tensor.name for tensor in model.outputs]
        self._compiled = compiled
        self._idle: LifoQueue[Any] = LifoQueue()
        self.turn = nullcontext()
        self.info = {"backend": "openvino", "version": ov.__version__, "device": "CPU"}

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Any shape that fits the network will do."""

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        request = self._taken()
        results = request.infer(dict(zip(self._inputs, arrays, strict=True)), share_inputs=True)
        # A result's memory is the request's own; the next run would overwrite it.
        answers = tuple(results[name].copy() for name in self._outputs)
        self._idle.put(request)
        return answers

    def _taken(self) -> Any:
        """Return a request that no other thread uses: there are as many as ever ran at once."""
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._compiled.create_infer_request()

    def close(self) -> None:
        del self._idle, self._compiled

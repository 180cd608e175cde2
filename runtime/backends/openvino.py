"""Run ONNX files with OpenVINO on the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from queue import Empty, LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, BadInput
from unetrt.files import Closing
from unetrt.precision import Precision

from ..session_spec import SessionSpec

__all__ = ["WHY", "OpenVinoBound", "obstacle", "open_backend"]


class OpenVinoBound(Closing):
    """Keep inputs in place, outputs in the request's own memory; see `BoundRun`.

    Args:
        ov: the library.
        request: its InferRequest, used here alone.
        feeds: inputs by name; they are copied.
        outputs: names.
    """

    device, stream = None, 0

    def __init__(
        self, ov: Any, request: Any, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> None:
        self._request = request
        self._names = list(outputs)
        self._arrays = [np.array(array, order="C") for array in feeds.values()]
        for name, array in zip(feeds, self._arrays, strict=True):
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))

    def launch(self) -> None:
        """Run; it is done when this returns."""
        self._request.start_async()  # `infer` would copy the outputs too
        self._request.wait()

    def wait(self) -> None:
        """Return at once: a run is done when `launch` returns."""

    def outputs(self) -> Sequence[NDArray[Any]]:
        """Return copies of the last run's outputs."""
        return [np.array(self._request.get_tensor(name).data) for name in self._names]

    def close(self) -> None:
        """Release the request and the inputs."""
        self._request = None
        self._arrays = []


WHY = "on a CPU OpenVINO was the fastest with the networks that unetrt measured"

_SIMULATED = "the file simulates bfloat16 by casts, which OpenVINO leaves out"

_CONVOLUTIONS = ("Convolution", "Deconvolution")


def obstacle(model: OnnxModel, spec: SessionSpec) -> str | None:
    """Return the reason not to run the file here, or None; opens nothing.

    On the test's network ONNX Runtime is within 0.012 of what the file's nodes say one by one,
    OpenVINO within 0.12, and ten times as far from float32 on average.
    """
    if not vendor.installed("openvino"):
        return "it is not installed"
    if model.simulated:
        return _SIMULATED
    if model.precision == Precision.INT8 and spec.precision == "own":
        return "it quantises more than the file says; precision 'fast' allows that"
    return None


def open_backend(model: OnnxModel, spec: SessionSpec) -> _OpenVino:
    """Open an ONNX file.

    Raises:
        ArtifactError: OpenVINO cannot open it.
        BadInput: the file simulates bfloat16.
        MissingDependency: OpenVINO is not installed.
    """
    if model.simulated:
        raise BadInput(f"OpenVINO cannot run {model.path}", got=_SIMULATED)
    return _OpenVino(vendor.openvino(), model, spec)


class _OpenVino:
    def __init__(self, ov: Any, model: OnnxModel, spec: SessionSpec) -> None:
        core = ov.Core()
        # Without the hint a CPU with BF16 would compute in that, silently.
        gains = spec.precision == "fast" and Precision.BF16.upper() in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        )
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": (Precision.BF16 if gains else Precision.FP32).openvino,
        }
        if spec.threads is not None:
            config["INFERENCE_NUM_THREADS"] = spec.threads
        try:
            compiled = core.compile_model(str(model.path), "CPU", config)
        except RuntimeError as error:
            raise ArtifactError(f"OpenVINO cannot open {model.path}", got=error) from error
        self._ov = ov
        self._inputs = [tensor.name for tensor in model.inputs]
        self._outputs = [tensor.name for tensor in model.outputs]
        self._compiled = compiled
        self._idle: LifoQueue[Any] = LifoQueue()
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.info = {
            "backend": "openvino",
            "version": ov.__version__,
            "device": "CPU",
            "computes_in": _computed_in(compiled) or _compute_dtype(hint),
        }
        if spec.precision == "fast":
            self.info["fast"] = (
                f"floating point is computed in {_compute_dtype(hint)}"
                if hint == Precision.BF16.openvino
                else "nothing gained: this CPU has no bfloat16"
            )

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Accept any shape: OpenVINO compiles for shapes that it has not met."""

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        request = self._taken()
        feeds = dict(zip(self._inputs, arrays, strict=True))
        results = request.infer(feeds, share_inputs=True, share_outputs=True)
        # A result's memory is the request's own; the next run would overwrite it.
        outputs = tuple(results[name].copy() for name in self._outputs)
        self._idle.put(request)
        return outputs

    def bind(self, arrays: tuple[NDArray[Any], ...]) -> OpenVinoBound:
        """Return a run on `arrays`, which were checked, with its tensors set."""
        feeds = dict(zip(self._inputs, arrays, strict=True))
        request = self._compiled.create_infer_request()
        return OpenVinoBound(self._ov, request, feeds, self._outputs)

    def _taken(self) -> Any:
        """Return a request that no other thread uses; as many exist as ever ran at once."""
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._compiled.create_infer_request()

    def close(self) -> None:
        del self._idle, self._compiled


def _computed_in(compiled: Any) -> str:
    """Return the types that the compiled convolutions compute in, most frequent first, or "".

    Not the hint: a file in bfloat16 is computed in that, whatever the hint says of float32.
    """
    told = (op.get_rt_info() for op in compiled.get_runtime_model().get_ordered_ops())
    taken = Counter(
        str(one["runtimePrecision"].value)
        for one in told
        if str(one["layerType"].value) in _CONVOLUTIONS
    )
    names = dict.fromkeys(_compute_dtype(name) for name, _ in taken.most_common())
    return ", the rest ".join(names)


def _compute_dtype(name: str) -> str:
    """Return what OpenVINO's type is called elsewhere; quantised images without a sign are u8."""
    found = Precision.INT8 if name == "u8" else Precision.lookup("openvino", name)
    return name if found is None else found.compute_dtype

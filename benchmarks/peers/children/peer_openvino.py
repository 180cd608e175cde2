"""Time bare OpenVINO on the CPU, in float32 or in what it chooses itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from unetrt.precision import Precision

from .serving import Task, host_times, serve


class _OpenVino:
    def __init__(self, task: Task) -> None:
        # docs.openvino.ai, "High-level Performance Hints": LATENCY, for one request at a time.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if task.variant == Precision.FP32.openvino:
            # "Precision Control": by default a CPU with BF16 or FP16 computes in that.
            config["INFERENCE_PRECISION_HINT"] = Precision.FP32.openvino
        compiled = ov.Core().compile_model(str(task.onnx), "CPU", config)
        self._request = compiled.create_infer_request()
        self._input = ov.Tensor(task.image, shared_memory=True)
        self._request.set_input_tensor(self._input)
        self._request.infer()
        chosen = {
            name: _plain(compiled.get_property(name))
            for name in (
                "PERFORMANCE_HINT", "EXECUTION_MODE_HINT", "INFERENCE_PRECISION_HINT",
                "INFERENCE_NUM_THREADS", "NUM_STREAMS",
            )
        }  # fmt: skip
        self.info = {
            "versions": {"openvino": ov.__version__},
            "device": "cpu",
            # A quantised file computes its convolutions in int8 whatever the hint says.
            "computes_in": Precision.INT8.compute_dtype
            if task.precision == Precision.INT8
            else Precision.from_openvino(chosen["INFERENCE_PRECISION_HINT"]).compute_dtype,
            "configuration": chosen,
        }

    def time_runs(self, count: int) -> dict[str, list[int]]:
        return host_times(self._request.infer, count)

    def predict(self) -> NDArray[Any]:
        self._request.infer()
        return np.array(self._request.get_output_tensor(0).data)


def _plain(value: Any) -> Any:
    """Return a property as JSON knows it: types and hints by their names."""
    if isinstance(value, ov.Type):
        return value.to_string()
    return value if isinstance(value, str | int | float) else getattr(value, "name", str(value))


if __name__ == "__main__":
    serve(_OpenVino)

"""Time bare ONNX Runtime, on the CPU or by its CUDA provider, as its documentation advises."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.precision import Precision

from .serving import Task, host_times, serve

ort = vendor.onnxruntime()

_CONFIG = {
    # Threads spin inside of a run, as by default, and stop with its end, so that an idle peer
    # leaves the CPU to the one whose turn it is. A key of
    # onnxruntime_session_options_config_keys.h, see microsoft/onnxruntime#11841.
    "session.force_spinning_stop": "1",
}


class _OnnxRuntime:
    def __init__(self, task: Task) -> None:
        # Everything else is the default, which the documentation says is for latency:
        # https://onnxruntime.ai/docs/performance/tune-performance/threading.html
        options = ort.SessionOptions()
        for key, value in _CONFIG.items():
            options.add_session_config_entry(key, value)
        where, provider, settings = "cpu", "CPUExecutionProvider", {}
        if task.device == "gpu":
            # https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html: TF32 is
            # on unless it is switched off, and the exhaustive search is the default.
            where, provider = "cuda", "CUDAExecutionProvider"
            settings = {
                "use_tf32": "1" if task.precision == Precision.TF32 else "0",
                "cudnn_conv_algo_search": "EXHAUSTIVE",
            }
        self._session = ort.InferenceSession(
            str(task.onnx), sess_options=options, providers=[(provider, settings)]
        )
        if self._session.get_providers()[0] != provider:
            raise RuntimeError(f"ONNX Runtime did not load its {provider}; see its own words above")
        self._bind(task.image, where)
        self.info = {
            "versions": {"onnxruntime": ort.__version__},
            "device": where,
            # On the CPU there is no float16 convolution: each is put between casts.
            "computes_in": Precision.FP32.compute_dtype
            if (where, task.precision) == ("cpu", Precision.FP16)
            else task.precision.compute_dtype,
            "configuration": {
                "provider": provider,
                "threads": "default",
                "io_binding": True,
                "graph_optimization": "ORT_ENABLE_ALL",
                **_CONFIG,
                **settings,
            },
        }

    def _bind(self, image: NDArray[Any], where: str) -> None:
        """Put the input, and room for the output, where the network runs.

        https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html
        """
        self._binding = self._session.io_binding()
        self._input = ort.OrtValue.ortvalue_from_numpy(image, where, 0)
        self._binding.bind_ortvalue_input(self._session.get_inputs()[0].name, self._input)
        name = self._session.get_outputs()[0].name
        self._binding.bind_output(name, where)
        self._session.run_with_iobinding(self._binding)
        output = self._binding.copy_outputs_to_cpu()[0]
        self._output = ort.OrtValue.ortvalue_from_shape_and_type(
            output.shape, output.dtype, where, 0
        )
        self._binding.bind_ortvalue_output(name, self._output)
        self._run()

    def _run(self) -> None:
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def time_runs(self, count: int) -> dict[str, list[int]]:
        return host_times(self._run, count)

    def predict(self) -> NDArray[Any]:
        self._run()
        return np.asarray(self._output.numpy())


if __name__ == "__main__":
    serve(_OnnxRuntime)

"""Time PyTorch, eager and compiled, on the network and the weights of the ONNX file."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from unetrt.precision import Precision

from .serving import Task, host_times, serve
from .torch_graph import to_module

_FREEZING = "TORCHINDUCTOR_FREEZING"
"""Whether weights become constants, laid out once for oneDNN (pytorch/pytorch#100652)."""

_COMPILE: dict[str, dict[str, Any]] = {
    # https://docs.pytorch.org/docs/stable/generated/torch.compile.html: "reduce-overhead" and
    # "max-autotune" bring CUDA graphs, the latter also a search for kernels. Sizes are fixed here.
    "compile": {"dynamic": False},
    "graphs": {"dynamic": False, "mode": "reduce-overhead"},
    "autotune": {"dynamic": False, "mode": "max-autotune"},
}


class _Torch:
    def __init__(self, task: Task) -> None:
        self._gpu = task.device == "gpu"
        place = torch.device("cuda" if self._gpu else "cpu")
        net = to_module(onnx.load(task.onnx))
        # "Channels Last Memory Format in PyTorch", docs.pytorch.org/tutorials: module and input.
        # A transposed NHWC image is in it already.
        net = net.to(place, memory_format=torch.channels_last)
        self._x = torch.from_numpy(task.image).to(place)
        configuration: dict[str, Any] = {
            "memory_format": "channels_last",
            "threads": torch.get_num_threads(),
        }
        # For the whole life of this process: autocast keeps its casts of the weights until it
        # ends, and a context that nobody holds ends at once.
        self._contexts = contexts = ExitStack()
        contexts.enter_context(torch.inference_mode())
        configuration["grad"] = "inference_mode"
        if self._gpu:
            configuration |= _gpu_settings(task.precision)
        if task.precision == Precision.FP16:
            net = _Half(net)
            configuration["half"] = "module.half()"
        elif task.precision == Precision.BF16:
            # https://docs.pytorch.org/docs/stable/amp.html, "CPU"
            contexts.enter_context(torch.autocast(place.type, dtype=torch.bfloat16))
            configuration["autocast"] = "bfloat16"
        self._net: Any = net
        if task.variant in _COMPILE:
            configuration[_FREEZING] = os.environ.get(_FREEZING, "0")
            self._net = torch.compile(net, fullgraph=True, **_COMPILE[task.variant])
            configuration["torch.compile"] = str({"fullgraph": True, **_COMPILE[task.variant]})
        for _ in range(3):  # CUDA graphs are recorded in the second run
            self._y = self._net(self._x)
        self.info = {
            "versions": {"torch": torch.__version__},
            "device": torch.cuda.get_device_name() if self._gpu else "cpu",
            "computes_in": task.precision.compute_dtype,
            "configuration": configuration,
        }

    def time_runs(self, count: int) -> dict[str, list[int]]:
        return self._gpu_times(count) if self._gpu else host_times(self._run, count)

    def predict(self) -> NDArray[Any]:
        self._run()
        return np.asarray(self._y.float().cpu().numpy())

    def _run(self) -> None:
        self._y = self._net(self._x)

    def _gpu_times(self, count: int) -> dict[str, list[int]]:
        """Time by the host's clock until the GPU has finished, and by events on its stream.

        docs.pytorch.org/docs/stable/notes/cuda.html, "Asynchronous execution".
        """
        taken: dict[str, list[int]] = {"host": [], "enqueue": [], "compute": []}
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        for _ in range(count):
            began = time.perf_counter_ns()
            start.record()
            self._run()
            end.record()
            enqueued = time.perf_counter_ns()
            end.synchronize()
            taken["host"].append(time.perf_counter_ns() - began)
            taken["enqueue"].append(enqueued - began)
            taken["compute"].append(round(start.elapsed_time(end) * 1e6))
        return taken


class _Half(nn.Module):  # type: ignore[misc]
    """Run a module in float16, its ends as they were."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.half()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.half()).float()


def _gpu_settings(precision: Precision) -> dict[str, Any]:
    """Choose TF32 or not (cuDNN's convolutions round to it by default), and let cuDNN search.

    docs.pytorch.org/docs/stable/notes/cuda.html, "TensorFloat-32"; for cudnn.benchmark the
    "Performance Tuning Guide" of docs.pytorch.org/tutorials.
    """
    arithmetic = "tf32" if precision == Precision.TF32 else "ieee"
    torch.backends.cudnn.conv.fp32_precision = arithmetic
    torch.backends.cuda.matmul.fp32_precision = arithmetic
    torch.backends.cudnn.benchmark = True
    return {"fp32_precision": arithmetic, "cudnn.benchmark": True}


if __name__ == "__main__":
    serve(_Torch)

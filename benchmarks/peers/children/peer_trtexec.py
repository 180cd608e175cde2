"""Time trtexec, TensorRT's own stopwatch, which loads its engine again for each turn."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from unetrt.precision import Precision

from .serving import Task, serve

_WARM_UP_MS = 200
"""Its own default, said so that it is in the report."""

_NS = 1e6


class _TrtExec:
    def __init__(self, task: Task) -> None:
        self._folder = task.folder
        graph = onnx.load(task.onnx, load_external_data=False).graph
        name = graph.input[0].name
        task.image.tofile(task.folder / "input.bin")
        # https://docs.nvidia.com/deeplearning/tensorrt, "trtexec": TF32 is on by default. No
        # precision is asked for: it is in the graph, and version 11 has no such flags.
        built: dict[str, str | float | Path] = {
            "onnx": str(task.onnx),
            "saveEngine": str(task.folder / "engine"),
        }
        if any(not d.dim_value for d in graph.input[0].type.tensor_type.shape.dim):
            built["shapes"] = f"{name}:{'x'.join(map(str, task.image.shape))}"
        flags = [] if task.precision == Precision.TF32 else ["noTF32"]
        said = self._trtexec(*flags, "skipInference", **built)
        self._run_with: dict[str, str | float | Path] = {
            "loadEngine": built["saveEngine"],
            "loadInputs": f"{name}:{task.folder / 'input.bin'}",
            "warmUp": _WARM_UP_MS,
            "duration": 0,
            "avgRuns": 1,
        }
        if "shapes" in built:
            self._run_with["shapes"] = built["shapes"]
        self.info = {
            "versions": {"trtexec": _version(said)},
            "device": "gpu",
            "computes_in": task.precision.compute_dtype,
            "configuration": {
                "build": " ".join(f"--{flag}" for flag in flags),
                "run": "--useCudaGraph --useSpinWait",
                "warmUp_ms": _WARM_UP_MS,
                "host_is": "trtexec's latency: its events around copies and compute, not wall time",
            },
        }

    def time_runs(self, count: int) -> dict[str, list[int]]:
        """Return what --exportTimes says of each run after the warm-up."""
        times = self._folder / "times.json"
        self._trtexec(
            "useCudaGraph", "useSpinWait", iterations=count, exportTimes=times, **self._run_with
        )
        runs = json.loads(times.read_text(encoding="utf-8"))[:count]
        if len(runs) < count:
            raise RuntimeError(f"trtexec timed {len(runs)} runs of {count}")
        fields = {
            "host": "latencyMs", "copy_in": "h2dMs", "compute": "computeMs", "copy_out": "d2hMs",
        }  # fmt: skip
        return {
            stage: [round(float(run[field]) * _NS) for run in runs]
            for stage, field in fields.items()
        }

    def predict(self) -> NDArray[Any]:
        output = self._folder / "output.json"
        self._trtexec(iterations=1, exportOutput=output, **self._run_with)
        (said,) = json.loads(output.read_text(encoding="utf-8"))
        shape = [int(size) for size in said["dimensions"].split("x")]
        return np.asarray(said["values"], np.float32).reshape(shape)

    def _trtexec(self, *flags: str, **options: str | float | Path) -> str:
        command = ["trtexec", *(f"--{flag}" for flag in flags)]
        command += [f"--{name}={value}" for name, value in options.items()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
            raise RuntimeError(f"trtexec failed: {said[-1]}")
        return done.stdout


def _version(said: str) -> str:
    """Return the version in its first line: [TensorRT v110400] and the like."""
    start = said.find("[TensorRT ")
    return said[start + 10 : said.find("]", start)] if start >= 0 else "unknown"


if __name__ == "__main__":
    serve(_TrtExec)

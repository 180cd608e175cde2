"""A run of ONNX Runtime whose inputs and outputs lie where it computes, by IOBinding."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.files import Closing

from ..bound_run import Stages

__all__ = ["OrtBound"]


class OrtBound(Closing):
    """Inputs and outputs in place; see `runtime.bound_run.BoundRun`.

    Args:
        ort: the library.
        session: its InferenceSession.
        feeds: inputs by name; they are copied.
        outputs: names.
        device: "cpu" or "cuda".
    """

    def __init__(
        self,
        ort: Any,
        session: Any,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        device: str,
    ) -> None:
        self._session = session
        self._names = list(outputs)
        self._feeds = {name: np.array(array, order="C") for name, array in feeds.items()}
        self._binding = session.io_binding()
        for name, array in self._feeds.items():
            value = ort.OrtValue.ortvalue_from_numpy(array, device, 0)
            self._binding.bind_ortvalue_input(name, value)
        for name in self._names:
            self._binding.bind_output(name, device)
        session.run_with_iobinding(self._binding)  # what it then holds, the next runs write into
        self._made = self._binding.get_outputs()
        for name, value in zip(self._names, self._made, strict=True):
            self._binding.bind_ortvalue_output(name, value)

    def launch(self) -> None:
        """Run; on the CPU it is done when this returns."""
        self._session.run_with_iobinding(self._binding)

    def wait(self) -> None:
        """Return when the outputs are there."""
        self._binding.synchronize_outputs()

    def compute_ns(self) -> int | None:
        """None: ONNX Runtime gives no events, and a CPU has none."""
        self.launch()
        self.wait()
        return None

    def stages(self) -> Stages:
        """Time one run from host memory to host memory."""
        began = time.perf_counter_ns()
        self._session.run(self._names, self._feeds)
        return Stages(host_ns=time.perf_counter_ns() - began)

    def outputs(self) -> Sequence[NDArray[Any]]:
        """Return copies of the last run's answers."""
        self.wait()
        return [np.array(value.numpy()) for value in self._made]

    def close(self) -> None:
        """Let everything go."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._made, self._feeds = [], {}

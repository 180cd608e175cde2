"""An infer request of OpenVINO with its tensors set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.files import Closing

from ..bound_run import Stages

__all__ = ["OpenVinoBound"]

Arrays = tuple[NDArray[Any], ...]


class OpenVinoBound(Closing):
    """Inputs in place, outputs in the request's own memory; see `runtime.bound_run.BoundRun`.

    Args:
        ov: the library.
        request: its InferRequest, used here alone.
        feeds: inputs by name; they are copied.
        outputs: names.
        run: from host memory to host memory.
    """

    def __init__(
        self,
        ov: Any,
        request: Any,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        run: Callable[[Arrays], Arrays],
    ) -> None:
        self._request = request
        self._names = list(outputs)
        self._arrays = tuple(np.array(array, order="C") for array in feeds.values())
        self._run = run
        self._running = False
        for name, array in zip(feeds, self._arrays, strict=True):
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))

    def launch(self) -> None:
        """Begin a run; a request does one at a time, so that it waits for the one before."""
        self.wait()
        self._request.start_async()
        self._running = True

    def wait(self) -> None:
        """Return when the run is done."""
        if self._running:
            self._request.wait()
            self._running = False

    def compute_ns(self) -> int | None:
        """None: a CPU has no events."""
        self.launch()
        self.wait()
        return None

    def stages(self) -> Stages:
        """Time one run from host memory to host memory."""
        began = time.perf_counter_ns()
        self._run(self._arrays)
        return Stages(host_ns=time.perf_counter_ns() - began)

    def outputs(self) -> Sequence[NDArray[Any]]:
        """Return copies of the last run's answers."""
        self.wait()
        return [np.array(self._request.get_tensor(name).data) for name in self._names]

    def close(self) -> None:
        """Let everything go."""
        self.wait()
        self._request = None
        self._arrays = ()

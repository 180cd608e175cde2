"""Serve an engine to sessions: a pool of contexts, results that stay on the GPU, bound runs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from numpy.typing import NDArray

from unetrt.artifacts import Engine
from unetrt.errors import BadInput, ShapeError
from unetrt.files import Closing
from unetrt.gpu import Gpu
from unetrt.precision import Precision
from unetrt.tensors import TensorSpec

from ...devices import Device, DeviceArray, DeviceView
from ...devices.memory import PinnedResults, ResultMemory
from .context import ContextPool, ExecutionContext, Graphs
from .engine import OpenedEngine

__all__ = ["EngineBackend"]


class BoundEngine(Closing):
    """Keep inputs in place in a context of their own, warm, its graph captured; see `BoundRun`.

    Attributes:
        device: the GPU.
        stream: of the runs.
        closed: whether it has given everything back.
    """

    def __init__(
        self, device: Device, context: ExecutionContext, arrays: tuple[NDArray[Any], ...]
    ) -> None:
        self.device: Device | None = device
        self.stream = context.stream
        self.closed = False
        self._device, self._context = device, context
        with device.current(), ExitStack() as undo:
            undo.callback(context.close)
            context.set_up(tuple(array.shape for array in arrays))
            context.copy_in(context.feed(arrays))
            for _ in range(2):  # the graph is captured in the second run
                context.launch()
                device.synchronize(self.stream)
            undo.pop_all()

    def launch(self) -> None:
        """Begin a run on the inputs in place."""
        with self._at_work():
            self._context.launch()

    def wait(self) -> None:
        """Return when every run that was launched is done."""
        with self._at_work():
            self._device.synchronize(self.stream)

    def outputs(self) -> tuple[NDArray[Any], ...]:
        """Return the outputs of the last run, copied to host memory."""
        with self._at_work():
            self._context.copy_out()
            self._device.synchronize(self.stream)
            return self._context.fetched()

    def close(self) -> None:
        """Return the context to the pool."""
        if not self.closed:
            self.closed = True
            with self._device.current():
                self._device.synchronize(self.stream)
                self._context.close()

    def _at_work(self) -> Any:
        if self.closed:
            raise BadInput("The bound run is closed", hint="bind the inputs again")
        return self._device.current()


_MOST_CONTEXTS = 4
"""Each holds the activations of the largest size; more would compute no more at once."""

_ALIGNMENT = 256
"""Of a tensor's memory, as IExecutionContext::setTensorAddress wants it."""


class EngineBackend:
    """Run an engine on the GPU; each of several threads runs in a context of its own.

    In a stream that was given runs follow each other, so that there is one context.
    """

    def __init__(
        self, trt: Any, engine: Engine, gpu: Gpu, device: Device, outside: int | None
    ) -> None:
        self._device, self._outside = device, outside
        self._inputs = engine.inputs
        with device.current():
            self._opened = OpenedEngine(trt, engine, gpu)
            self._graphs = Graphs(device, library_captures=self._opened.library_captures)
            self._pool = ContextPool(self._context, _MOST_CONTEXTS if outside is None else 1)
        self._memory, self._pinned = ResultMemory(device), PinnedResults(device)
        self._runs: list[BoundEngine] = []
        self._said = {
            "backend": engine.backend,
            "version": trt.__version__,
            "device": device.name,
            "device_layer": device.layer,
            "receipt": _receipt(engine),
        }

    @property
    def info(self) -> dict[str, Any]:
        """Return the library, the device, its layer, the CUDA graphs, the contexts, the receipt."""
        return {**self._said, **self._graphs.info, "contexts": self._pool.made}

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Raise ShapeError where the engine was not built for inputs of `shapes`."""
        self._opened.bound(shapes)

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """Map host arrays to host arrays."""
        shapes = tuple(array.shape for array in arrays)
        with self._device.current(), self._pool.context(shapes) as context:
            return context.run(arrays, self._pinned)

    def run_on_device(self, views: tuple[DeviceView, ...]) -> tuple[DeviceArray, ...]:
        """Map arrays on the GPU to arrays on the GPU, without a copy.

        In the session's own streams it returns when they are written; in a stream that was given,
        when their writing is enqueued there.

        Raises:
            BadInput: an input is not memory of this GPU, or not aligned.
        """
        shapes = tuple(view.shape for view in views)
        with self._device.current(), self._pool.context(shapes) as context:
            for tensor, view in zip(self._inputs, views, strict=True):
                self._must_be_usable(tensor, view)
            return context.run_on_device(views, self._memory, wait=self._outside is None)

    def bind(self, arrays: tuple[NDArray[Any], ...]) -> BoundEngine:
        """Put inputs in place in a context of their own."""
        with self._device.current():
            bound = BoundEngine(self._device, self._context(fixed=True), arrays)
        self._runs = [*(run for run in self._runs if not run.closed), bound]
        return bound

    def close(self) -> None:
        """Free the contexts, then the engine; results that callers hold stay until released."""
        with self._device.current():
            while self._runs:
                self._runs.pop().close()
            self._pool.close()
            self._memory.close()
            self._pinned.close()
            self._opened.close()

    def _context(self, *, fixed: bool = False) -> ExecutionContext:
        return ExecutionContext(
            self._device, self._opened, self._graphs, outside=self._outside, fixed=fixed
        )

    def _must_be_usable(self, tensor: TensorSpec, view: DeviceView) -> None:
        if not self._device.holds(view.address):
            raise BadInput(
                f"The memory of input {tensor.name!r} is not on this GPU",
                got=hex(view.address),
                expected=f"memory of {self._device.name}",
                hint="copy the array there first",
            )
        if view.address % _ALIGNMENT:
            raise ShapeError(
                f"The memory of input {tensor.name!r} is not aligned",
                got=f"{hex(view.address)}, {view.address % _ALIGNMENT} bytes past",
                expected=f"a multiple of {_ALIGNMENT} bytes",
                hint="it is a part of a larger array: copy it first",
            )


def _receipt(engine: Engine) -> str:
    """Return the types of the convolutions, as the engine's receipt says, with their shares."""
    shares = dict(engine.receipt.convolution_share or {engine.precision: 1.0})
    if engine.receipt.tf32 and Precision.FP32 in shares:
        shares[Precision.TF32] = shares.pop(Precision.FP32)
    if len(shares) == 1:
        return str(*shares)
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.1%}" for name, share in ordered)

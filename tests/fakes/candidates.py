"""Candidates and sessions whose times are known."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tests.fakes.device import FakeDevice
from unetrt.benchmarks import Runs
from unetrt.sizes import SizeRule
from unetrt.tensors import TensorSpec

IMAGE = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)


class FakeCandidate:
    """Runs take given nanoseconds, one after another; keeps what it was asked."""

    def __init__(self, name="fake", ns=(1000,), stages=None, prediction=None, precision="fp32"):
        self.name, self.precision = name, precision
        self._ns, self._stages, self._prediction = itertools.cycle(ns), stages or {}, prediction
        self.turns, self.closed = [], False

    def time_runs(self, count):
        self.turns.append(count)
        taken = tuple(itertools.islice(self._ns, count))
        return Runs(taken, {name: (ns,) * count for name, ns in self._stages.items()})

    def predict(self):
        return self._prediction

    def close(self):
        self.closed = True


class NapCandidate(FakeCandidate):
    """Really takes its time."""

    def __init__(self, name="nap", ms=2.0):
        super().__init__(name)
        self._ms = ms

    def time_runs(self, count):
        self.turns.append(count)
        taken = []
        for _ in range(count):
            began = time.perf_counter_ns()
            time.sleep(self._ms / 1000)
            taken.append(time.perf_counter_ns() - began)
        return Runs(tuple(taken))


class ClockedDevice(FakeDevice):
    """A GPU whose events tell given nanoseconds, one after another."""

    def __init__(self, ns):
        super().__init__()
        self._ns = itertools.cycle(ns)

    def elapsed_ns(self, _start, _end):
        return next(self._ns)


class FakeBound:
    """Remembers its calls; on a device it says there when it computes."""

    def __init__(self, session, inputs):
        self._session, self._inputs, self.device = session, inputs, session.device
        self.stream, self.calls = 7, []

    def launch(self):
        self.calls.append("launch")
        if self.device is not None:
            with self.device.current():
                self.device.give("compute", self.stream, lambda: None)

    def wait(self):
        self.calls.append("wait")

    def outputs(self):
        (x,) = self._inputs.values()
        return [np.concatenate([1 - x / 255, x / 255], axis=-1).astype(np.float32)]

    def close(self):
        self._session.open -= 1


class FakeSession:
    """Takes bytes [n, 4, 4, 1]; the class is whether a pixel is bright."""

    def __init__(self, device=None):
        self.artifact = SimpleNamespace(
            path=Path("fake.onnx"),
            inputs=(TensorSpec("x", "float32", ("n", 4, 4, 1)),),
            outputs=(TensorSpec("y", "float32", ("n", 4, 4, 2)),),
            sizes=SizeRule(),
            normalization=None,
            precision="fp32",
            sha256="0" * 64,
        )
        self.device = device
        self.info = {"backend": "fake", "version": "1", "device": "CPU", "precision": "fp32"}
        self.open, self.bound, self.segmented = 0, [], 0

    def bind(self, inputs):
        self.open += 1
        self.bound.append(FakeBound(self, inputs))
        return self.bound[-1]

    def run(self, inputs):
        return {"y": FakeBound(self, inputs).outputs()[0]}

    def segment(self, image):
        self.segmented += 1
        return (image[..., 0] > 127).astype(np.uint8)


class OpenedLayer(FakeSession):
    """A layer's session; on a GPU its runs take ever longer."""

    def __init__(self, model, *, gpu):
        super().__init__(ClockedDevice(itertools.count(100, 100)) if gpu else None)
        self.inputs = model.inputs

    def bind(self, inputs):
        for tensor in self.inputs:
            tensor.check(inputs[tensor.name].shape, inputs[tensor.name].dtype.name)
            assert np.any(inputs[tensor.name])
        return super().bind(inputs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.open == 0


def prediction_of(*probabilities):
    """Return one row of pixels of two classes, from the second one's probabilities."""
    one = np.float32(probabilities)
    return np.stack([1 - one, one], axis=-1)[np.newaxis, np.newaxis]

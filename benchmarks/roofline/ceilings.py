"""Measure a machine's ceilings: how fast it multiplies, and how fast it copies, at best."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.caches import machine_file, read_cache, write_cache
from unetrt.errors import UnetrtError
from unetrt.gpu import find_gpu
from unetrt.precision import Precision
from unetrt.runtime import open_session

from ..candidates import BoundCandidate
from ..machine import describe_machine
from .graph_cost import Value
from .one_node import random_tensors, write_node

__all__ = ["Ceilings", "ceilings_of"]

_SIDE = 2048
_COPY_BYTES = 1 << 28
"""Larger than any cache, so that memory is what is measured."""
_SECONDS = 0.7
_FEWEST = 3

_ON_CPU = (Precision.FP32, Precision.BF16)


def measure_cpu() -> tuple[dict[str, float], float, str]:
    """Return operations a second by type, bytes a second, and how they were measured.

    The best of several runs, by NumPy's BLAS and by OpenVINO, where it is installed, whichever is
    faster. bfloat16 is measured where OpenVINO says that the CPU has it. No library here computes
    in float16 on a CPU: it converts.
    """
    flops = 2 * _SIDE**3
    found = {Precision.FP32.compute_dtype: flops / _best_s(_numpy_product())}
    how = ["NumPy"]
    if vendor.installed("openvino"):
        ov = vendor.openvino()
        core = ov.Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for precision in _ON_CPU:
            if precision.upper() in able:
                rate = flops / _best_s(_openvino_product(ov, core, precision.openvino))
                name = precision.compute_dtype
                found[name] = max(rate, found.get(name, 0.0))
        how.append(f"OpenVINO {ov.__version__}")
    threads = describe_machine()["cores"] or 1
    with ThreadPoolExecutor(threads) as pool:
        bytes_per_s = 2 * _COPY_BYTES / _best_s(_copy(pool, threads))
    said = f"best of several: products of {_SIDE} x {_SIDE} matrices by {' and '.join(how)}; "
    said += f"copies of {_COPY_BYTES >> 20} MiB by {threads} threads, bytes read and written"
    return found, bytes_per_s, said


def _numpy_product() -> Callable[[], object]:
    a, b = _matrices()
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _openvino_product(ov: Any, core: Any, hint: str) -> Callable[[], object]:
    operators = ov.opset13
    ends = [operators.parameter([_SIDE, _SIDE], np.float32) for _ in range(2)]
    product = operators.matmul(*ends, False, False)
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    request = core.compile_model(
        ov.Model([product], ends, "product"), "CPU", config
    ).create_infer_request()
    for number, matrix in enumerate(_matrices()):
        request.set_input_tensor(number, ov.Tensor(matrix))
    infer: Callable[[], object] = request.infer
    return infer


def _copy(pool: ThreadPoolExecutor, threads: int) -> Callable[[], object]:
    source = np.ones((threads, _COPY_BYTES // threads), np.uint8)
    target = np.zeros_like(source)

    def run() -> None:
        list(pool.map(np.copyto, target, source))

    return run


def _matrices() -> list[Any]:
    random = np.random.default_rng(0)
    return [random.standard_normal((_SIDE, _SIDE), np.float32) for _ in range(2)]


def _best_s(call: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several calls, the first not counted."""
    call()
    taken: list[float] = []
    while sum(taken) < _SECONDS or len(taken) < _FEWEST:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


Build = Callable[[OnnxModel, Path], Engine]
"""Makes an engine; convert's, which the benchmarks do not import."""

_GPU_SIDE = 8192
_COPY_SHAPE = (1, 64, 2048, 2048)
"""1 GiB in float32: larger than any cache."""
_RUNS = 20
_WARMUP = 10

_BY_TORCH = (Precision.FP32, Precision.TF32, Precision.FP16, Precision.BF16)
_BY_ENGINES = (Precision.FP32, Precision.FP16)


def measure_gpu(build: Build | None) -> tuple[dict[str, float], float, str] | str:
    """Return operations a second by type, bytes a second, and how they were measured.

    By PyTorch, which calls cuBLAS, where it is installed and sees the GPU; else by engines of one
    node each, made by `build`. Else why it was not measured.
    """
    if vendor.installed("torch"):
        torch = vendor.torch()
        if torch.cuda.is_available():
            return _by_torch(torch)
    if build is None:
        return "neither PyTorch with CUDA nor what builds engines is at hand"
    try:
        return _by_engines(build)
    except UnetrtError as error:
        return str(error)


def _by_torch(torch: Any) -> tuple[dict[str, float], float, str]:
    """Measure by cuBLAS; float32 with TF32 off, and on as "tf32"."""
    before = torch.backends.cuda.matmul.allow_tf32
    found = {}
    try:
        for precision in _BY_TORCH:
            torch.backends.cuda.matmul.allow_tf32 = precision == Precision.TF32
            dtype = getattr(torch, precision.numpy)
            a, b = (torch.randn(_GPU_SIDE, _GPU_SIDE, device="cuda", dtype=dtype) for _ in range(2))
            out = torch.empty_like(a)
            best_s = _best_torch_s(torch, partial(torch.matmul, a, b, out=out))
            found[precision.compute_dtype] = 2 * _GPU_SIDE**3 / best_s
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    source = torch.randn(_COPY_SHAPE, device="cuda")
    target = torch.empty_like(source)
    moved = 2 * source.nelement() * source.element_size()
    bytes_per_s = moved / _best_torch_s(torch, partial(target.copy_, source))
    how = f"products of {_GPU_SIDE} x {_GPU_SIDE} matrices by PyTorch {torch.__version__} (cuBLAS)"
    return found, bytes_per_s, _said(how, "copies")


def _best_torch_s(torch: Any, call: Callable[[], object]) -> float:
    for _ in range(_WARMUP):
        call()
    taken_ms = []
    for _ in range(_RUNS):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        call()
        ended.record()
        torch.cuda.synchronize()
        taken_ms.append(began.elapsed_time(ended))
    return float(min(taken_ms)) / 1e3


def _by_engines(build: Build) -> tuple[dict[str, float], float, str]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in _BY_ENGINES:
            matrices = {name: _value((_GPU_SIDE, _GPU_SIDE), precision) for name in "aby"}
            best_s = _best_engine_s(build, Path(folder, precision), "MatMul", matrices)
            found[precision.compute_dtype] = 2 * _GPU_SIDE**3 / best_s
        arrays = {name: _value(_COPY_SHAPE, Precision.FP32) for name in "ay"}
        best_s = _best_engine_s(build, Path(folder, "copy"), "Neg", arrays)
    how = f"products of {_GPU_SIDE} x {_GPU_SIDE} matrices by an engine of one MatMul"
    moved = sum(value.nbytes for value in arrays.values())
    return found, moved / best_s, _said(how, "an engine of one Neg")


def _best_engine_s(build: Build, stem: Path, op: str, values: dict[str, Value]) -> float:
    node = vendor.onnx().helper.make_node(op, list(values)[:-1], ["y"], name=op)
    engine = build(write_node(node, values, stem.with_suffix(".onnx")), stem.with_suffix(".engine"))
    inputs = random_tensors(engine.inputs)
    with open_session(engine) as session, closing(BoundCandidate(op, session, inputs)) as bound:
        taken_ns = bound.time_runs(_WARMUP + _RUNS).stages_ns["compute"][_WARMUP:]
    return float(min(taken_ns)) / 1e9


def _value(shape: tuple[int, ...], precision: Precision) -> Value:
    return Value(shape, precision.numpy, precision.itemsize, constant=False)


def _said(products: str, copies: str) -> str:
    return f"best of {_RUNS}: {products}; {copies} of 1 GiB, bytes read and written; by events"


_FORMAT = 1

_BUSY = 0.5
"""Load of the cores at which a measurement would tell only what was left."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Hold the most that a machine was seen to do.

    Attributes:
        flops_per_s: of a large matrix product, by NumPy's name of the type it computes in, or
            "tf32"; without the types that could not be measured.
        bytes_per_s: read and written, by a copy of a large array.
        how: what measured them, in words.
        device: the GPU's name, or the CPU's and its cores.
        made: ISO 8601 time of the measurement.

    >>> Ceilings({"float32": 1e12}, 1e11, "NumPy", "a CPU, 2 cores", "2026-01-01").to_json()["how"]
    'NumPy; measured 2026-01-01'
    """

    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    how: str
    device: str
    made: str

    def to_json(self) -> dict[str, Any]:
        """Return the `ceilings` of the benchmark's record."""
        return {
            "flops_per_s": dict(self.flops_per_s),
            "bytes_per_s": self.bytes_per_s,
            "how": f"{self.how}; measured {self.made[:10]}",
            "device": self.device,
        }


def ceilings_of(device: str, build: Build | None = None) -> tuple[Ceilings | None, str]:
    """Return the ceilings of this machine, and a sentence about them.

    They come from the cache, if they are there; else they are measured, which takes seconds, and
    kept, unless the CPU was at work on something else.

    Args:
        device: "cpu" or "gpu".
        build: makes engines, for a GPU without PyTorch.

    Returns:
        None, and the reason, where nothing here can measure them.
    """
    name = _device_name(device)
    if name is None:
        return None, "ceilings not measured: there is no NVIDIA GPU"
    file = machine_file("ceilings", name)
    kept = _read(file)
    if kept is not None:
        return kept, f"ceilings measured {kept.made[:10]}, kept in {file}"
    load = _load() if device == "cpu" else 0.0
    measured = measure_cpu() if device == "cpu" else measure_gpu(build)
    if isinstance(measured, str):
        return None, f"ceilings not measured: {measured}"
    flops_per_s, bytes_per_s, how = measured
    made = datetime.now(UTC).isoformat(timespec="seconds")
    found = Ceilings(flops_per_s, bytes_per_s, how, name, made)
    if load > _BUSY:
        return found, f"ceilings measured on a busy CPU ({load:.0%} of its cores), and not kept"
    text = json.dumps({"format": _FORMAT, **asdict(found)}, indent=1)
    return found, write_cache(file, text.encode()) or f"ceilings measured now, kept in {file}"


def _device_name(device: str) -> str | None:
    if device == "cpu":
        machine = describe_machine()
        return f"{machine['cpu']}, {machine['cores']} cores"
    gpu = find_gpu()
    return None if gpu is None else gpu.name


def _load() -> float:
    """Return how many processes wanted to run in the last minute, for each core."""
    average = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return average / (describe_machine()["cores"] or 1)


def _read(file: Path) -> Ceilings | None:
    """Return the ceilings of a file; None where it is damaged or of another version."""
    try:
        kept = json.loads(read_cache(file))
        if kept.pop("format") != _FORMAT:
            return None
        flops_per_s = {str(name): float(peak) for name, peak in kept.pop("flops_per_s").items()}
        found = Ceilings(flops_per_s, float(kept.pop("bytes_per_s")), **kept)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if min(found.bytes_per_s, *flops_per_s.values()) > 0 else None

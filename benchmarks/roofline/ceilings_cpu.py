"""How fast a CPU multiplies matrices and copies memory, at its best."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from unetrt import vendor

from ..environment import describe_machine

__all__ = ["measure_cpu"]

_SIDE = 2048
_COPY_BYTES = 1 << 28
"""Larger than any cache, so that memory is what is measured."""
_SECONDS = 0.7
_FEWEST = 3

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16"}


def measure_cpu() -> tuple[dict[str, float], float, str]:
    """Return operations a second by type, bytes a second, and how they were measured.

    The best of several runs, by NumPy's BLAS and by OpenVINO, where it is installed, whichever is
    faster. bfloat16 is measured where OpenVINO says that the CPU has it. No library here computes
    in float16 on a CPU: it converts.
    """
    flops = 2 * _SIDE**3
    found = {"float32": flops / _best_s(_numpy_product())}
    how = ["NumPy"]
    if vendor.installed("openvino"):
        ov = vendor.openvino()
        core = ov.Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for name, hint in _HINTS.items():
            if _CAPABILITIES[name] in able:
                rate = flops / _best_s(_openvino_product(ov, core, hint))
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

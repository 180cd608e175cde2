"""How fast a GPU multiplies matrices and copies its memory, at its best."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import UnetrtError
from unetrt.runtime import open_session

from .graph_shapes import Value
from .one_node import write_node

__all__ = ["Build", "measure_gpu"]

Build = Callable[[OnnxModel, Path], Engine]
"""Makes an engine; convert's, which benchmarks do not know."""

_SIDE = 8192
_COPY_SHAPE = (1, 64, 2048, 2048)
"""1 GiB in float32: larger than any cache."""
_RUNS = 20
_WARMUP = 10

_ITEMSIZE = {"float32": 4, "float16": 2}


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
    """Float32 is measured with TF32 off, and on as "tf32"."""
    modes = {
        "float32": (torch.float32, False),
        "tf32": (torch.float32, True),
        "float16": (torch.float16, False),
        "bfloat16": (torch.bfloat16, False),
    }
    before = torch.backends.cuda.matmul.allow_tf32
    found = {}
    try:
        for name, (dtype, tf32) in modes.items():
            torch.backends.cuda.matmul.allow_tf32 = tf32
            a, b = (torch.randn(_SIDE, _SIDE, device="cuda", dtype=dtype) for _ in range(2))
            out = torch.empty_like(a)
            best_s = _best_torch_s(torch, partial(torch.matmul, a, b, out=out))
            found[name] = 2 * _SIDE**3 / best_s
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    source = torch.randn(_COPY_SHAPE, device="cuda")
    target = torch.empty_like(source)
    moved = 2 * source.nelement() * source.element_size()
    bytes_per_s = moved / _best_torch_s(torch, partial(target.copy_, source))
    how = f"products of {_SIDE} x {_SIDE} matrices by PyTorch {torch.__version__} (cuBLAS)"
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
        for dtype in _ITEMSIZE:
            matrices = {name: _value((_SIDE, _SIDE), dtype) for name in "aby"}
            best_s = _best_engine_s(build, Path(folder, dtype), "MatMul", matrices)
            found[dtype] = 2 * _SIDE**3 / best_s
        arrays = {name: _value(_COPY_SHAPE, "float32") for name in "ay"}
        best_s = _best_engine_s(build, Path(folder, "copy"), "Neg", arrays)
    how = f"products of {_SIDE} x {_SIDE} matrices by an engine of one MatMul"
    moved = sum(value.nbytes for value in arrays.values())
    return found, moved / best_s, _said(how, "an engine of one Neg")


def _best_engine_s(build: Build, stem: Path, op: str, values: dict[str, Value]) -> float:
    node = vendor.onnx().helper.make_node(op, list(values)[:-1], ["y"], name=op)
    engine = build(write_node(node, values, stem.with_suffix(".onnx")), stem.with_suffix(".engine"))
    random = np.random.default_rng(0)
    inputs = {
        tensor.name: random.standard_normal(values[tensor.name].shape, np.float32).astype(
            tensor.dtype
        )
        for tensor in engine.inputs
    }
    with open_session(engine) as session:
        bound = session.bind(inputs)
        try:
            taken_ns = [bound.compute_ns() for _ in range(_WARMUP + _RUNS)][_WARMUP:]
        finally:
            bound.close()
    return float(min(ns for ns in taken_ns if ns is not None)) / 1e9


def _value(shape: tuple[int, ...], dtype: str) -> Value:
    return Value(shape, dtype, _ITEMSIZE[dtype], constant=False)


def _said(products: str, copies: str) -> str:
    return f"best of {_RUNS}: {products}; {copies} of 1 GiB, bytes read and written; by events"

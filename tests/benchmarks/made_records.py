"""Rows and records for tests."""

from __future__ import annotations

import math
from dataclasses import replace

from unetrt.benchmarks.record import Comparison, Failure, Record, Row
from unetrt.benchmarks.telemetry import Window

MACHINE = {
    "cpu": "a CPU", "cores": 2, "gpu": None, "system": "Linux", "python": "3.11",
    "packages": {"numpy": "2.4"}, "git": None,
}  # fmt: skip


def make_row(host=(1_000_000,) * 20, **fields):
    host = tuple(host)
    ms = [ns / 1e6 for ns in host]
    half = len(host) // 2
    windows = tuple(
        Window(began_s=k, ended_s=k + 1, n=n, throttle=("gpu_idle",), load_average=0.5)
        for k, n in enumerate((half, len(host) - half))
    )
    known = {
        "network": "article", "precision": "fp32", "backend": "onnxruntime", "device": "CPU",
        "computes_in": "float32", "batch": 1, "height": 64, "width": 64, "channels": 1,
        "scope": "core", "mode": "serialised", "configuration": {"threads": 2},
        "artifact": {"file": "m.onnx", "sha256": "0" * 64},
        "input": {"kind": "random", "seed": 1, "source": "uniform bytes"},
        "parity": {"reference": "keras", "max_abs_diff": 1e-6, "labels_that_differ": 0.0},
        "samples_ns": {"host": host}, "warmup_ns": (5,), "windows": windows,
        "latency_ms": {
            "n": len(host), "p50": sorted(ms)[half], "mean": sum(ms) / len(ms),
            "min": min(ms), "max": max(ms),
        },
        "images_per_s": 1e9 * len(host) / sum(host),
    }  # fmt: skip
    return Row(**known | fields)


def make_record(*rows, **fields):
    rows = rows or (make_row(), make_row(precision="fp16", computes_in="float16"))
    known = {
        "title": "A test", "made": "2026-11-24T17:00:00+00:00", "command": "unetrt bench",
        "machine": MACHINE, "rows": rows,
    }  # fmt: skip
    return Record(**known | fields)


def full_record():
    """Return one with something in every field."""
    a, b = make_row(), make_row(precision="fp16", computes_in="float16", warnings=("a word",))
    late = make_row(mode="open_loop", rate_per_s=12.5, roofline={"attainable_ns": 5.0, "share": 1})
    compared = Comparison(
        a=a.id, b=b.id, ratio=0.5, low=0.4, high=0.6, null_low=0.9, null_high=1.1,
        rebuilds=3, verdict="faster",
    )  # fmt: skip
    once = Comparison(
        a=a.id, b=b.id, ratio=0.5, low=0.0, high=math.inf, null_low=0.0, null_high=math.inf,
        rebuilds=1, verdict="cannot be told apart",
    )  # fmt: skip
    no_null = replace(compared, null_low=None, null_high=None)
    layer = {"name": "c", "block": "down0", "op": "Conv", "flops": 1, "bytes": 1,
             "attainable_ns": 1.5}  # fmt: skip
    network = {"height": 64, "width": 64, "channels": 1, "batch": 1, "layers": [layer],
               "flops": 1, "bytes": 1, "attainable_ns": None}  # fmt: skip
    ceilings = {"flops_per_s": {"float32": 1e12}, "bytes_per_s": 1e11, "how": "h", "device": "CPU"}
    timed = layer | {"precision": "fp16", "median_ns": 9, "n": 64}
    return make_record(
        a, b, late, comparisons=(compared, once, no_null), networks={"article": network},
        ceilings=ceilings, layers=(timed,), failures=(Failure("article/int8", "no such engine"),),
    )  # fmt: skip

"""A record of a machine that does not exist, every figure drawn from a formula and a seed."""

from dataclasses import replace

import numpy as np

from tests.benchmarks.made_records import make_row
from unetrt.benchmarks.record import Comparison, Failure, Record
from unetrt.benchmarks.telemetry import Window

PEAKS = {"float32": 50e12, "tf32": 200e12, "float16": 400e12}
COPIED = 2e12
KINDS = {"fp32": "float32", "tf32": "tf32", "fp16": "float16"}
BLOCKS = [("down1", 9e9, 60e6), ("down2", 18e9, 30e6), ("bottleneck", 36e9, 40e6),
          ("up1", 22e9, 70e6), ("head", 2e7, 20e6)]  # fmt: skip
SPEED = {"tensorrt": 0.8, "onnxruntime": 0.55, "torch-compile": 0.5, "keras-xla": 0.3}


def attainable_ns(flops, traffic, precision):
    return 1e9 * max(flops / PEAKS[KINDS[precision]], traffic / COPIED)


def network(precision, side, batch):
    grown = batch * side * side / 512**2
    wide = grown if precision != "fp16" else grown / 2
    layers = [
        {"name": f"{block}/conv{k}", "block": block, "op": "Conv", "flops": grown * flops / 2,
         "bytes": wide * traffic / 2,
         "attainable_ns": attainable_ns(grown * flops / 2, wide * traffic / 2, precision)}
        for block, flops, traffic in BLOCKS for k in (1, 2)
    ] + [{"name": "pool", "block": "down1", "op": "MaxPool", "flops": 0, "bytes": wide * 1e6,
          "attainable_ns": 1e9 * wide * 1e6 / COPIED}]  # fmt: skip
    return {
        "height": side, "width": side, "channels": 1, "batch": batch, "precision": precision,
        "layers": layers, "flops": sum(x["flops"] for x in layers),
        "bytes": sum(x["bytes"] for x in layers),
        "attainable_ns": sum(x["attainable_ns"] for x in layers if x["flops"]),
    }  # fmt: skip


def row(backend, precision, side=512, batch=1, scope="core", n=100, **changed):
    random = np.random.default_rng(abs(hash_of(backend, precision, side, batch, scope)))
    least = network(precision, side, batch)["attainable_ns"]
    centre = least / SPEED.get(backend, 0.4) + 8e4
    compute = (centre * random.gamma(900, 1 / 900, n)).astype(int)
    host = compute + random.gamma(2, 3e3, n).astype(int)
    host[random.integers(n)] *= 2
    stages = {"enqueue": compute // 9, "compute": compute}
    if scope == "end_to_end":
        copied = np.full(n, 4e4 * batch).astype(int)
        host = host + 2 * copied
        stages |= {"copy_in": copied, "copy_out": copied}
    samples = {"host": host} | stages
    ms = host / 1e6
    latency = {"n": n, "p50": float(np.median(ms)), "mean": float(ms.mean()),
               "min": float(ms.min()), "max": float(ms.max())}  # fmt: skip
    for p, fewest in ((90, 64), (99, 662)):
        if n >= fewest:
            latency[f"p{p}"] = float(np.percentile(ms, p))
    window = Window(
        began_s=1.0, ended_s=2.5, n=n, load_average=0.5, preemptions=0, sm_clock_mhz=1500,
        memory_clock_mhz=2000, power_w=400.0, temperature_c=60,
    )  # fmt: skip
    known = {
        "precision": precision, "backend": backend, "device": "Synthetic GPU",
        "computes_in": KINDS[precision], "peer": backend in {"torch-compile", "keras-xla"},
        "batch": batch, "height": side, "width": side, "scope": scope,
        "configuration": {"cuda_graph": True, "layout": "channels last", "streams": 1},
        "samples_ns": {name: tuple(ns.tolist()) for name, ns in samples.items()},
        "warmup_ns": (int(3 * centre),) * 3, "windows": (window,), "latency_ms": latency,
        "images_per_s": 1e3 * batch / latency["p50"],
        "roofline": {"attainable_ns": least, "share": least / (1e6 * latency["p50"])},
    }  # fmt: skip
    return make_row(**known | changed)


def hash_of(*words):
    return sum(ord(letter) * (place + 1) for place, letter in enumerate("/".join(map(str, words))))


def compared(a, b, verdict, **changed):
    ratio = b.median_ms / a.median_ms
    known = {"ratio": ratio, "low": 0.98 * ratio, "high": 1.02 * ratio, "null_low": 0.985,
             "null_high": 1.015, "rebuilds": 3, "verdict": verdict}  # fmt: skip
    return Comparison(a=a.id, b=b.id, **known | changed)


def record(n=100, sides=(512, 256), batches=(1, 4)):
    rows = [
        row(backend, precision, side, batch, scope, n)
        for side in sides
        for batch in batches
        for scope in ("core", "end_to_end")
        for backend, precisions in (("tensorrt", tuple(KINDS)), ("onnxruntime", ("fp32", "fp16")),
                                    ("torch-compile", ("fp16",)), ("keras-xla", ("fp32",)))
        for precision in precisions
    ]  # fmt: skip
    by_id = {one.id: one for one in rows}
    comparisons = []
    for one in rows:
        half = by_id.get(one.id.replace("/fp32/", "/fp16/"))
        if one.precision == "fp32" and half is not None:
            comparisons.append(compared(one, half, "faster"))
    peer = by_id[rows[0].id.replace("fp32/tensorrt", "fp16/torch-compile")]
    comparisons.append(compared(peer, rows[2], "cannot be told apart"))
    slow = next(k for k, one in enumerate(rows) if one.backend == "torch-compile")
    capped = replace(rows[slow].windows[0], throttle=("power cap",), throttled=True)
    rows[slow] = replace(rows[slow], windows=(capped,))
    layers = tuple(
        layer | {"precision": precision, "median_ns": layer["attainable_ns"] / part, "n": 100}
        for precision, part in (("fp32", 0.8), ("fp16", 0.55))
        for layer in network(precision, 512, 1)["layers"]
        if layer["flops"]
    )
    return Record(
        title="A machine that does not exist",
        made="2026-01-01T00:00:00+00:00",
        command="unetrt bench-matrix",
        machine={
            "cpu": "Synthetic CPU", "cores": 8,
            "gpu": {"name": "Synthetic GPU", "compute_capability": "0.0", "driver_cuda": "0.0"},
            "system": "none", "python": "3.0.0", "packages": {"unetrt": "0.0.0"}, "git": None,
        },
        rows=tuple(rows),
        comparisons=tuple(comparisons),
        networks={f"article/{p}": network(p, 512, 1) for p in ("fp32", "fp16")},
        ceilings={"flops_per_s": PEAKS, "bytes_per_s": COPIED, "how": "a formula",
                  "device": "Synthetic GPU"},
        layers=layers,
        failures=(
            Failure("article/int8/tensorrt/1x512x512x1/core/serialised", "out of memory"),
            *(Failure(f"article/fp16/tensorrt/{b}x1024x1024x1/core/serialised", "no time")
              for b in (8, 16)),
        ),
    )  # fmt: skip


def holding(*rows, comparisons=(), **changed):
    """Return a record of these rows alone."""
    return replace(record(n=20, sides=(512,), batches=(1,)), rows=rows, comparisons=comparisons,
                   **changed)  # fmt: skip

"""Each promise's arithmetic, from raw results to what is kept and what is missed."""

import math

import pytest

from unetrt.benchmarks.promises import (
    conversion,
    fast,
    folder,
    gpu_overhead,
    harness,
    overhead,
    soak,
    tiling,
    training,
)

MIB, GIB = 2**20, 2**30


def converted(own_s=3.0, own_gib=1.5, difference=1e-7, engine_s=1.0, **nodes):
    def run(exporter, seconds, gib):
        return {
            "exporter": exporter,
            "side": None,
            "seconds": seconds,
            "cpu_seconds": seconds,
            "peak_rss_bytes": int(gib * GIB),
            "difference": difference,
            "nodes": {**conversion.NODES, "Transpose": 2, **nodes},
        }

    return {
        "runs": [run("keras", 27.0, 8.0), run("unetrt", own_s, own_gib)],
        "engines": {name: {"seconds": [engine_s]} for name in ("fp32", "fp16")},
    }


@pytest.mark.parametrize(
    ("measured", "missed"),
    [
        (converted(), ""),
        (converted(own_s=4.0), "faster"),
        (converted(own_gib=4.1), "memory"),
        (converted(difference=2e-5), "outputs"),
        (converted(difference=math.nan), "outputs"),
        (converted(Transpose=3), "nodes"),
        (converted(Shape=1), "nodes"),
        (converted(Conv=22), "nodes"),
        (converted(engine_s=2.1), "engine in fp32, engine in fp16"),
    ],
)
def test_the_conversion(measured, missed):
    verdicts = conversion.judge(measured)
    assert len(verdicts) == 6
    promises = [verdict.promise for verdict in verdicts if not verdict.kept]
    expected = missed.split(", ") if missed else []
    assert all(word in promise for word, promise in zip(expected, promises, strict=True))


def test_the_conversion_shows_ratios():
    assert conversion.judge(converted())[0].measured.startswith("9.0 times (3.00 s, Keras 27.0 s")


def compared_with_keras(keras_ms=(250, 500, 240), fast_ms=(80, 160, 80), dice=(0.91, 0.9102)):
    def server(ms, value):
        return {
            "info": {"backend": "openvino", "computes_in": "bfloat16"},
            "shape": [1, 256, 256, 1],
            "latency_ns": [[int(one * 1e6)] * 3 for one in ms],
            "dice": {"nucleus": value},
        }

    return {
        "precision": "fast",
        "trained": {"parameters": 34_585_794},
        "keras": server(keras_ms, dice[0]),
        "session": server(fast_ms, dice[1]),
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (compared_with_keras(), [True, True]),
        (compared_with_keras(fast_ms=(101, 201, 100)), [False, True]),
        (compared_with_keras(dice=(0.91, 0.9111)), [True, False]),
        (compared_with_keras(dice=(0.91, 0.9089)), [True, False]),
        (compared_with_keras(dice=(0.91, math.nan)), [True, False]),
        (compared_with_keras(dice=(0.1, 0.1)), [True, False]),  # nothing was learned
    ],
)
def test_the_fast_precision(measured, kept):
    assert [verdict.kept for verdict in fast.judge(measured)] == kept


def test_the_fast_precision_compares_turns_side_by_side():
    speed, dice = fast.judge(compared_with_keras())
    assert speed.measured.startswith("3.12 times (80.0 against 250.0 ms; openvino computes in bf")
    assert dice.measured == "0.00020 (nucleus 0.9100 and 0.9102)"


def passes(memory=(1.0, 2.0, 1.1), files=(1.1, 2.2, 1.2), device="CPU"):
    return {
        "images": 100,
        "session": {"backend": "onnxruntime", "device": device},
        "seconds": {"memory": list(memory), "files": list(files)},
        "cpu_seconds": {"memory": [4.0, 4.0, 4.0], "files": [5.0, 5.0, 5.0]},
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (passes(), True),
        (passes(files=(1.2, 2.4, 1.3)), False),
        (passes(device="CUDA"), False),  # a GPU leaves the cores to the files
        (passes(files=(1.04, 2.08, 1.15), device="CUDA"), True),
    ],
)
def test_a_folder(measured, kept):
    assert [verdict.kept for verdict in folder.judge(measured)] == [kept]


def test_a_folder_compares_passes_side_by_side():
    (verdict,) = folder.judge(passes())
    assert verdict.measured.startswith("0.909 (83.3 against 90.9 images per second")
    assert verdict.measured.endswith("of the CPU time 0.800)")


def stages(run_us=210, enqueue_us=20):
    us = {"host": 205, "enqueue": enqueue_us, "copy_in": 20, "compute": 170, "copy_out": 10}
    return {
        "shape": [1, 512, 512, 1],
        "run_ns": [1000 * run_us] * 2 + [10**9],
        "stages": [{f"{name}_ns": 1000 * taken for name, taken in us.items()}] * 3,
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (stages(), [True, True]),
        (stages(run_us=221), [False, True]),
        (stages(enqueue_us=50), [True, False]),
    ],
)
def test_the_overhead_on_a_gpu(measured, kept):
    assert [verdict.kept for verdict in gpu_overhead.judge(measured)] == kept


def test_the_overhead_on_a_gpu_names_its_stages():
    run, host = gpu_overhead.judge(stages())
    assert run.measured == "1.050 times (210 us against 200: copy in 20, compute 170, copy out 10)"
    assert host.measured == "20.0 us"


def harness_told(overhead_ns=500.0, alarms=0, missed=0, ratio=0.9):
    def told(verdicts):
        return [{"verdict": verdict, "ratio": 1.0} for verdict in verdicts]

    return {
        "overhead_ns": overhead_ns,
        "same": told(["slower"] * alarms + ["cannot be told apart"] * (10 - alarms)),
        "planted": told(["cannot be told apart"] * missed + ["slower"] * (10 - missed)),
        "ratio": {"harness": ratio, "stopwatch": 0.9},
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (harness_told(), [True, True, True, True]),
        (harness_told(alarms=1, missed=1), [True, True, True, True]),
        (harness_told(overhead_ns=2000.0), [False, True, True, True]),
        (harness_told(alarms=2), [True, False, True, True]),
        (harness_told(missed=2), [True, True, False, True]),
        (harness_told(ratio=0.96), [True, True, True, False]),
        (harness_told(ratio=0.84), [True, True, True, False]),
    ],
)
def test_the_harness(measured, kept):
    assert [verdict.kept for verdict in harness.judge(measured)] == kept


@pytest.mark.parametrize(("session", "kept"), [(1.02, True), (1.04, False)])
def test_the_overhead(session, kept):
    bare = [10_000_000, 10_000_000, 90_000_000]
    scales = {"bare": 1.0, "bare again": 1.001, "session": session}
    ns = {name: [int(scale * one) for one in bare] for name, scale in scales.items()}
    (verdict,) = overhead.judge(
        {"article": {"onnxruntime": {"shape": [1, 256, 256, 1], "latency_ns": ns}}}
    )
    assert verdict.kept == kept
    assert verdict.promise.startswith("article, onnxruntime, 1 x 256 x 256 x 1: the median")
    assert "one bare session against another 1.001; 3 calls each" in verdict.measured


def soaked(*, grown=1 * MIB, descriptors=9, threads=4, opened=1 * MIB, different=0, runs=1000):
    before = {"rss_bytes": 100 * MIB, "descriptors": 9, "threads": 4}

    def done(after):
        return {"first": 10, "count": 100, "before": before, "after": before | after}

    run = {"rss_bytes": 100 * MIB + grown, "descriptors": descriptors, "threads": threads}
    return {
        "openvino": {
            "runs": done(run),
            "openings": done({"rss_bytes": 100 * MIB + opened}),
            "threads": {"threads": 8, "runs": runs, "different": different},
        }
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (soaked(), [True, True, True]),
        (soaked(grown=8 * MIB), [False, True, True]),
        (soaked(descriptors=10), [False, True, True]),
        (soaked(threads=5), [False, True, True]),
        (soaked(opened=9 * MIB), [True, False, True]),
        (soaked(different=1), [True, True, False]),
        (soaked(runs=0), [True, True, False]),
        (soaked(grown=-20 * MIB, descriptors=8), [True, True, True]),
    ],
)
def test_the_soak(measured, kept):
    assert [verdict.kept for verdict in soak.judge(measured)] == kept


def tiled(*, seam=1e-7, gib=1.0, monai=("monai", "monai_exact")):
    def done(difference):
        return {
            "tile": [1024, 1024],
            "tiles": 4,
            "seconds": 9.0,
            "peak_rss_bytes": int(gib * GIB),
            "largest_difference": difference,
            "labels_that_differ": 0,
            "pixels_seen_per_pixel": 1.2,
        }

    return {
        "side": 4096,
        "large": 20_000,
        "whole": {"seconds": 6.0, "peak_rss_bytes": 9 * GIB},
        "square": done(seam),
        "chosen": done(1e-7),
        "file": done(0.0),
        **{name: done(0.2) | {"overlap": 0.25} for name in monai},
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (tiled(), [True, True, None, None, True]),
        (tiled(seam=1e-5), [False, True, None, None, True]),
        (tiled(seam=math.nan), [False, True, None, None, True]),
        (tiled(gib=1.6), [True, True, None, None, False]),
        (tiled(monai=()), [True, True, None, None, True]),
    ],
)
def test_tiling(measured, kept):
    assert [verdict.kept for verdict in tiling.judge(measured)] == kept


def test_monai_stands_beside_our_tiles_or_is_said_to_be_missing():
    ours, _, monai, *_ = tiling.judge(tiled())
    assert ours.measured.startswith("1.0e-07, 0 labels differ; 1.20 pixels seen a pixel")
    assert "by default, tiles of 1024 x 1024, overlap 0.250" in monai.promise
    assert tiling.judge(tiled(monai=()))[2].measured == "not measured: MONAI is not installed"
    assert tiling.judge(tiled(monai=["monai"]))[3].measured == "not measured: no such overlap"


def trained(cached=(1.0, 1.1, 1.2), augmented=(1.1, 1.2, 1.3), gib=6.0):
    memory = {"parameters": 34_585_794, "batch": 8, "crop": 256, "peak_rss_bytes": int(gib * GIB)}
    return {
        "input": {
            "steps": 10,
            "seconds": {"cached": list(cached), "augmented": list(augmented)},
            "draw_seconds": 0.02,
        },
        "memory": memory,
    }


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (trained(), [True, True]),
        (trained(augmented=(1.3, 1.4, 1.5)), [False, True]),
        (trained(gib=8.0), [True, False]),
    ],
)
def test_training(measured, kept):
    assert [verdict.kept for verdict in training.judge(measured)] == kept


def test_training_compares_blocks_side_by_side():
    measured = trained(cached=(1.0, 2.0, 9.0), augmented=(1.0, 2.5, 10.0))
    assert training.judge(measured)[0].measured.startswith("0.900 (250 ms a step")

"""`unetrt bench`: rows, verdicts, a record; and what it refuses."""

import json
import math

import numpy as np
import pytest

from tests.benchmarks.test_record import validate
from tests.benchmarks.tiny_unet import SIDE, tiny_unet
from unetrt.artifacts import OnnxModel
from unetrt.benchmarks import read_record

pytestmark = pytest.mark.tf


def result_of(run):
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def test_keras_and_onnx_side_by_side_as_a_record(unetrt, road, disc_folder, tmp_path):
    out = tmp_path / "record.json"
    words = ("bench", road / "model.keras", road / "model.fp32.onnx", road / "model.fp16.onnx")
    run = unetrt(*words, "--data", disc_folder, "--samples", "4", "--out", out, "--json")
    found = result_of(run)
    validate(found)
    assert read_record(out).to_json() == found
    rows = {(row["network"], row["scope"]): row for row in found["rows"]}
    assert set(rows) == {
        ("model.keras", "end_to_end"),
        *((f"model.{p}.onnx", s) for p in ("fp32", "fp16") for s in ("core", "end_to_end")),
    }
    core = rows["model.fp32.onnx", "core"]
    assert (core["height"], core["width"], core["device"]) == (48, 56, "CPU")
    assert len(core["samples_ns"]["host"]) == 4
    assert core["latency_ms"]["p50"] > 0
    assert "p90" not in core["latency_ms"]
    assert core["parity"]["reference"] == "model.keras"
    assert core["parity"]["max_abs_diff"] < 1e-4
    assert core["input"]["kind"] == "real"
    assert rows["model.keras", "end_to_end"]["peer"] is True
    # In each scope every other one beside the first.
    assert [(c["a"].split("/")[0], c["b"].split("/")[0]) for c in found["comparisons"]] == [
        ("model.fp32.onnx", "model.fp16.onnx"),
        ("model.keras", "model.fp32.onnx"),
        ("model.keras", "model.fp16.onnx"),
    ]
    assert unetrt("compare", out, out, "--fail-above", "5%").exit_code == 0


def test_one_run_of_each_tells_nothing_and_can_be_stored(unetrt, road, tmp_path):
    out, files = tmp_path / "r.json", (road / "model.fp32.onnx", road / "model.fp16.onnx")
    words = ("--seed", "3", "--size", "32", "--scope", "core", "--samples", "1", "--out", out)
    shown = unetrt("bench", *files, *words)
    assert shown.exit_code == 0, shown.output
    assert "(unknown; model.fp32.onnx beside itself unknown)" in " ".join(shown.stdout.split())
    (compared,) = read_record(out).comparisons
    assert (compared.low, compared.high, compared.null_high) == (0, math.inf, math.inf)
    assert compared.verdict == "cannot be told apart"
    validate(json.loads(out.read_text()))
    again = unetrt("compare", out, out, "--fail-above", "0", "--json")
    assert {row["verdict"] for row in result_of(again)["rows"]} == {"cannot be told apart"}


def test_end_to_end_on_real_images_in_batches(unetrt, road, disc_folder):
    words = ("--data", disc_folder, "--scope", "end-to-end", "--batch", "2", "--samples", "6")
    found = result_of(
        unetrt("bench", road / "model.keras", road / "model.fp32.onnx", *words, "--json")
    )
    for row in found["rows"]:
        assert (row["batch"], row["input"]["kind"]) == (2, "real")
        taken_ns = sum(row["samples_ns"]["host"])
        assert row["images_per_s"] == pytest.approx(2 * 6 * 1e9 / taken_ns)
    assert found["rows"][1]["parity"]["labels_that_differ"] < 1e-3


def test_arrivals_above_the_capacity_queue_up_and_are_said(unetrt, road):
    words = ("--seed", "1", "--size", "128", "--samples", "30", "--scope", "core")
    late = ("--mode", "open-loop", "--rate", "1e5", "--json")
    (row,) = result_of(unetrt("bench", road / "model.fp32.onnx", *words, *late))["rows"]
    assert row["rate_per_s"] == 1e5
    assert any("the queue grows" in warning for warning in row["warnings"])
    host, service = (row["samples_ns"][name] for name in ("host", "service"))
    assert host[-1] > 5 * service[-1]


def test_what_disagrees_is_not_timed_and_leaves_no_record(unetrt, road, tmp_path):
    import onnx
    from onnx import numpy_helper

    good = OnnxModel.load(road / "model.fp32.onnx")
    proto = onnx.load(good.path)
    (weight,) = (w for w in proto.graph.initializer if w.name == "logits/bias")
    bias = numpy_helper.to_array(weight) + np.float32([3, -3])
    weight.CopyFrom(numpy_helper.from_array(bias, weight.name))
    wrong = OnnxModel.write(
        tmp_path / "wrong.onnx",
        lambda temporary: onnx.save(proto, temporary),
        sizes=good.sizes,
        inputs=good.inputs,
        outputs=good.outputs,
    )
    out = tmp_path / "r.json"
    words = ("--seed", "1", "--size", "32", "--samples", "5", "--out", out)
    run = unetrt("bench", good.path, wrong.path, *words)
    assert run.exit_code == 1
    assert "wrong.onnx disagrees with model.fp32.onnx and is not timed" in run.output
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--mode", "pipelined"),
        ("--mode", "paced"),
        ("--mode", "open-loop", "--rate", "500"),
        ("--scope", "core", "--batch", "2"),
        ("--scope", "end-to-end", "--size", "50x61", "--batch", "2"),
    ],
)
def test_modes_scopes_and_sizes_on_random_images(unetrt, road, words):
    model = road / "model.fp32.onnx"
    size = () if "--size" in words else ("--size", "32x48")
    found = result_of(
        unetrt("bench", model, "--seed", "3", *size, "--samples", "3", *words, "--json")
    )
    validate(found)
    for row in found["rows"]:
        assert row["input"] == {"kind": "random", "seed": 3, "source": "uniform bytes"}
        assert len(row["samples_ns"]["host"]) == 3
        assert row["images_per_s"] > 0
    assert len(found["rows"]) == (1 if "--scope" in words else 2)
    assert found["comparisons"] == []


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_backend_that_was_asked_for_is_timed(unetrt, road, disc_folder, backend):
    words = ("--data", disc_folder, "--samples", "2", "--scope", "core", "--fast")
    run = unetrt("bench", road / "model.fp32.onnx", *words, "--backend", backend, "--json")
    (row,) = result_of(run)["rows"]
    assert row["backend"] == backend


def test_the_percentile_chooses_the_runs_and_is_shown(unetrt, road, disc_folder):
    run = unetrt("bench", road / "model.fp32.onnx", road / "model.fp16.onnx", "--data", disc_folder,
                 "--scope", "core", "--percentile", "90")  # fmt: skip
    assert run.exit_code == 0, run.output
    words = " ".join(run.stdout.split())
    assert "core, serialised: milliseconds at 1 x 48 x 56 x 1, 64 runs" in words
    assert "model.fp16.onnx beside model.fp32.onnx: " in words
    assert "model.fp32.onnx beside itself" in words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--percentile", "100"), "There is no such percentile"),
        (("--percentile", "99", "--samples", "10"), "cannot be told from so few samples: got 10"),
        (("--backend", "abacus"), "Backend 'abacus' cannot run"),
        (("--scope", "vague"), "'--scope': 'vague' is not one of 'core', 'end-to-end'"),
        (("--mode", "open-loop"), "The mode open-loop needs a --rate"),
        (("--rate", "5"), "The mode serialised takes no --rate"),
        (("--size", "0x5"), "'--size': got '0x5'"),
        (("--size", "64:128:256"), "expected one size in pixels: 512, or HEIGHTxWIDTH"),
        (("--seed", "1"), "bench --data takes no --seed"),
    ],
)
def test_what_cannot_be_asked_for(unetrt, road, disc_folder, words, told):
    run = unetrt("bench", road / "model.fp32.onnx", "--data", disc_folder, *words)
    assert (run.exit_code, told in run.output) == (2, True), run.output


def test_keras_has_no_core(unetrt, road, disc_folder):
    run = unetrt("bench", road / "model.keras", "--data", disc_folder, "--scope", "core")
    assert (run.exit_code, "There is no core to time: got Keras" in run.output) == (2, True)


def test_black_images_are_refused(unetrt, road, disc_folder):
    from PIL import Image

    for path in (disc_folder / "images").iterdir():
        Image.new("L", (56, 48)).save(path)
    run = unetrt("bench", road / "model.fp32.onnx", "--data", disc_folder)
    assert run.exit_code == 2
    assert "constant input, which runs faster than an image does: got 0 and nothing" in run.output


def test_a_simulated_bfloat16_is_not_timed(unetrt, road, disc_folder, tmp_path):
    out = tmp_path / "m.onnx"
    words = ("convert", road / "model.fp32.onnx", "--out", out, "--precision", "bf16")
    assert unetrt(*words).exit_code == 0
    run = unetrt("bench", out, "--data", disc_folder)
    assert (run.exit_code, "m.onnx cannot be timed here" in run.output) == (2, True), run.output


def test_without_data_random_images_of_a_size_that_is_said(unetrt, road):
    run = unetrt("bench", road / "model.fp32.onnx", "--samples", "2", "--scope", "core", "--json")
    (row,) = result_of(run)["rows"]
    assert row["input"] == {"kind": "random", "seed": 0, "source": "uniform bytes"}
    assert (row["height"], row["width"]) == (512, 512)
    assert "Random images of 512 x 512 pixels, any size would do" in run.stderr


def test_without_data_at_the_network_s_own_size(unetrt, tmp_path):
    fixed = tiny_unet(tmp_path / "fixed.onnx")
    run = unetrt("bench", fixed.path, "--samples", "2", "--json")
    rows = result_of(run)["rows"]
    assert {(row["height"], row["width"]) for row in rows} == {(SIDE, SIDE)}
    assert "the network's own size" in run.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m.keras", "--backend", "openvino"), "without an ONNX file takes no --backend"),
        (("m.engine", "--fast"), "without an ONNX file takes no --fast"),
        (("m.onnx", "--data", "brain", "--seed", "0"), "bench --data takes no --seed"),
        (("--layers", "--fast", "--mode", "paced"), "takes no --mode and no --fast"),
        (("--layers", "--scope", "core", "--rate", "5"), "takes no --rate and no --scope"),
        (("--layers", "--percentile", "90"), "bench --layers takes no --percentile"),
        (("--layers", "--data", "brain", "--seed", "1"), "takes no --data and no --seed"),
    ],
)
def test_an_option_that_does_not_apply_is_refused(unetrt, words, told):
    run = unetrt("bench", *words)
    assert (run.exit_code, told in run.stderr) == (2, True), run.output

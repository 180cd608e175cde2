"""`unetrt build` and `unetrt refit`, from the options to the sentence or the JSON."""

import json
import threading

import pytest

from tests.convert.graphs import chain
from unetrt.artifacts import Engine, OnnxModel
from unetrt.cli.build import _heartbeat as heartbeat
from unetrt.gpu import find_gpu

pytest.importorskip("tensorrt_rtx")


@pytest.fixture
def model(tmp_path):
    """An ONNX file with its sidecar."""
    made = chain(tmp_path / "drawn.onnx", "fp16", "fp32", precision="fp16")
    fields = {"inputs": made.inputs, "outputs": made.outputs}
    content = made.path.read_bytes()
    made.path.unlink()
    return OnnxModel.write(
        tmp_path / "m.onnx",
        lambda path: path.write_bytes(content),
        precision="fp16",
        kept=("conv1",),
        **fields,
    )


@pytest.fixture
def build(unetrt, model, tmp_path):
    words = ("--backend", "tensorrt-rtx", "--out", tmp_path / "m.engine")
    return lambda *more: unetrt("build", model.path, *words, *more)


def failed(run, folder):
    """Return the sentence of a refusal that left nothing behind."""
    assert run.exit_code == 2, run.output
    assert {path.name for path in folder.iterdir()} == {"m.onnx", "m.onnx.json"}
    (sentence,) = (line for line in run.output.splitlines() if "error:" in line)
    return sentence


def test_the_options_reach_the_engine(build, tmp_path):
    run = build("--json", "--batch", "1:4:16", "--size", "64:128:256x32", "--tf32", "--level", "1",
                "--workspace", "512MiB", "--target", "8.6", "--target", "12.0")  # fmt: skip
    told = json.loads(run.stdout)
    assert told["receipt"]["convolution_share"] == {"fp16": 0.5, "fp32": 0.5}
    assert told["receipt"]["kept"] == {"conv1": "fp32"}
    assert told["warnings"] == []
    engine = Engine.load(tmp_path / "m.engine")
    assert engine.profiles["image"] == ((1, 3, 64, 32), (4, 3, 128, 32), (16, 3, 256, 32))
    spec = engine.made_with["spec"]
    assert (spec["workspace_bytes"], spec["optimization_level"]) == (2**29, 1)
    assert (spec["targets"], spec["tf32"]) == (["8.6", "12.0"], True)


def test_a_person_sees_the_share_of_each_type_and_what_was_kept(build):
    shown = build("--size", "64").stdout
    for words in ("convolution FLOPs in fp16", "50.0%", "kept in fp32", "conv1", "TF32 allowed"):
        assert words in shown


def test_a_build_that_takes_long_says_so():
    said = threading.Event()

    class Progress:
        def tick(self, line):
            assert line == "still building"
            said.set()

    with heartbeat(Progress()):
        assert said.wait(600)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            ("--size", "64x64x64"),
            "'--size': got '64x64x64', expected pixels: 512, 480x640, or",
        ),
        (("--size", "big"), "'--size': got 'big', expected pixels"),
        (("--target", "9.0"), "got '9.0', expected 7.5, 8.0"),
        (("--batch", "4:2:1"), "'--batch': got '4:2:1', expected a number, or MIN:OPT:MAX"),
        (("--workspace", "much"), "'--workspace': got 'much', expected GiB"),
        (("--level", "7"), "got 7, expected 0 to 5"),
        (("--hardware-compatible", "ampere-plus"), "tensorrt-rtx has no --hardware-compatible"),
    ],
)
def test_an_option_that_cannot_be_is_one_sentence(build, tmp_path, option, expected):
    assert expected in failed(build(*option), tmp_path)


@pytest.mark.skipif(find_gpu() is not None, reason="a GPU can")
def test_a_refittable_rtx_engine_takes_a_gpu(build, tmp_path):
    sentence = failed(build("--refittable"), tmp_path)
    assert "cannot build a refittable engine without a GPU" in sentence


def test_an_engine_that_was_not_built_to_be_refitted_says_how(unetrt, build, model, tmp_path):
    build("--size", "64")
    out = tmp_path / "new.engine"
    run = unetrt("refit", tmp_path / "m.engine", model.path, "--out", out)
    assert run.exit_code == 2
    assert "build it again with --refittable" in run.output
    assert not out.exists()


def test_refit_writes_engines_alone(unetrt, model, tmp_path):
    run = unetrt("refit", tmp_path / "m.engine", model.path, "--out", tmp_path / "new.onnx")
    assert (run.exit_code, "expected a name ending in .engine" in run.output) == (2, True)

import json
from importlib.resources import files

import jsonschema
import pytest

from tests.fakes.candidates import OpenedLayer
from tests.jobs.command_line import run_cli
from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.benchmarks.record import Record, read_record
from unetrt.benchmarks.roofline import layers
from unetrt.benchmarks.roofline.ceilings import Ceilings
from unetrt.benchmarks.roofline.layers import bench_layers
from unetrt.cli.bench_layers import layer_tables
from unetrt.errors import BadInput, ShapeError
from unetrt.gpu import find_gpu


@pytest.fixture
def know(monkeypatch):
    def set_(flops_per_s, bytes_per_s):
        known = Ceilings({"float32": flops_per_s}, bytes_per_s, "", "a CPU", "2026-11-24")
        monkeypatch.setattr(layers, "ceilings_of", lambda *_: (known, "ceilings known"))

    return set_


@pytest.fixture
def known(know):
    know(1e18, 1e17)  # what no session here reaches


@pytest.fixture
def small(tmp_path):
    return [
        fill_skeleton("small", tmp_path / f"small.{name}.onnx", precision=name).path
        for name in ("fp32", "fp16")
    ]


def test_float32_and_float16_stand_side_by_side(small, known, monkeypatch):
    monkeypatch.setattr(layers, "open_session", lambda model, _spec: OpenedLayer(model, gpu=True))
    found = bench_layers(small, size=(64, 96), backend="onnxruntime", samples=3)
    record = found.added_to(Record(title="", made="", command="", machine={}, rows=()))
    rows = record.layers
    assert [row["precision"] for row in rows[:2]] == ["fp32", "fp16"]
    assert rows[0]["name"] == rows[1]["name"] == "down1/conv1"
    schema = json.loads(files("unetrt.benchmarks").joinpath("record.schema.json").read_text())
    stored = record.to_json()
    for part in ("layers", "ceilings", "networks", "failures"):
        jsonschema.validate(stored[part], schema["properties"][part])
    assert all(row["n"] == 3 for row in rows)
    assert len(rows) == 2 * 28
    assert record.failures == ()
    assert record.ceilings["device"] == "a CPU"
    networks = record.networks
    assert networks["small.fp32"]["attainable_ns"] >= networks["small.fp16"]["attainable_ns"] > 0


def test_without_files_it_is_the_article_s_network(known, monkeypatch):
    monkeypatch.setattr(layers, "open_session", lambda model, _spec: OpenedLayer(model, gpu=True))
    found = bench_layers([], size=(32, 32), backend="openvino", samples=1)
    assert found.rooflines.keys() == {"article.fp32", "article.fp16"}
    assert {one.layer.cost.name for one in found.times} >= {"bottleneck/conv1", "up5/upconv"}


def test_engines_are_built_without_a_gpu_and_their_rows_say_that_they_did_not_run(
    small, known, tmp_path, monkeypatch
):
    pytest.importorskip("tensorrt_rtx")
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    built, build = [], layers._build

    def kept(model, path, backend="auto"):
        built.append(build(model, path, backend))
        return built[-1]

    monkeypatch.setattr(layers, "_build", kept)
    found = bench_layers(small, size=(64, 64), backend="tensorrt-rtx", samples=1)
    failures = found.failures
    assert len(built) == len(failures) > 40
    assert failures[0].id == "layer/down1/conv1/fp32"
    assert {engine.precision for engine in built} == {"fp32", "fp16"}
    assert all("GPU" in failure.reason for failure in failures)
    count = len(built)
    told = layer_tables(found)[-1]
    assert told.startswith(f"{count} of {count} did not run. The first: Cannot open")


def test_a_size_that_the_network_cannot_halve_is_refused(small, known):
    with pytest.raises(ShapeError, match="cannot halve this size: got 100, .* works is 128"):
        bench_layers(small, size=(64, 100))


def test_a_file_without_convolutions_is_refused(tmp_path, known):
    onnx, path = pytest.importorskip("onnx"), tmp_path / "relu.onnx"
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, 8, 8, 1]) for name in "xy"]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    OnnxModel.write(path, lambda temporary: onnx.save(onnx.helper.make_model(graph), temporary))
    with pytest.raises(BadInput, match="nothing to time in .*relu.onnx"):
        bench_layers([path], size=(8, 8))


def test_a_backend_that_there_is_not_is_refused_before_anything_runs(small, known):
    with pytest.raises(BadInput, match="no such backend: got 'tvm'"):
        bench_layers(small, size=(64, 64), backend="tvm")


def test_a_person_sees_layers_and_blocks(small, known, monkeypatch):
    monkeypatch.setattr(layers, "open_session", lambda model, _spec: OpenedLayer(model, gpu=True))
    found = bench_layers(small, size=(64, 96), backend="onnxruntime", samples=3)
    each, blocks, note = layer_tables(found)
    assert note == "ceilings known"
    assert blocks.row_count == len(("bottleneck", "logits", "the network")) + 2 * 5
    assert "not to be added up" in each.title


def test_more_than_the_ceilings_allow_is_said(small, know, monkeypatch):
    know(1e6, 1e6)
    monkeypatch.setattr(layers, "open_session", lambda model, _spec: OpenedLayer(model, gpu=True))
    found = bench_layers(small, size=(64, 64), backend="onnxruntime", samples=1)
    assert "46 of 46 were faster than the ceilings allow" in layer_tables(found)[-1]


def test_the_command_writes_a_record(small, known, monkeypatch, tmp_path):
    monkeypatch.setattr(layers, "open_session", lambda model, _spec: OpenedLayer(model, gpu=True))
    words = ("--size", "64x64", "--backend", "openvino", "--samples", "1", "--out", tmp_path / "r")
    run = run_cli("bench", "--layers", small[1], *words)
    assert run.exit_code == 0, run.stderr
    assert "not to be added up" in run.stdout
    record = read_record(tmp_path / "r")
    assert len(record.layers) == 28
    assert record.networks.keys() == {"small.fp16"}
    assert record.rows == ()


@pytest.mark.parametrize("words", [("bench",), ("bench", "--backend", "openvino")])
def test_there_must_be_files_or_layers(words):
    run = run_cli(*words)
    assert run.exit_code == 2
    assert "or --layers" in run.stderr

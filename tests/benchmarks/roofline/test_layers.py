import numpy as np
import onnx
import pytest

from tests.fakes.candidates import OpenedLayer
from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.measure import MeasureSpec
from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.benchmarks.roofline.ceilings import Ceilings
from unetrt.benchmarks.roofline.layers import cut_layers, measure_layers
from unetrt.benchmarks.roofline.one_node import write_node
from unetrt.errors import NoDevice
from unetrt.runtime import SessionSpec, open_session

FAST = MeasureSpec(samples=3, warmup=1)
CEILINGS = Ceilings({"float32": 1e12}, 1e11, "", "", "")


def cut(tmp_path, precision, side=64, name="small"):
    model = fill_skeleton(name, tmp_path / f"{name}.{precision}.onnx", precision=precision)
    return cut_layers(model, batch=2, height=side, width=side)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_convolution_is_there_once_with_those_of_its_shapes(tmp_path, precision):
    found = cut(tmp_path, precision)
    names = [name for layer in found for name in (layer.cost.name, *layer.also)]
    assert len(names) == len(set(names)) == 28
    assert len(found) == len({(layer.cost.op, layer.cost.shapes) for layer in found}) < 28
    # The second of a level going down has the shapes of the second one coming up.
    alike = {layer.cost.name: layer.also for layer in found}
    assert alike["down2/conv2"] == ("up2/conv2",)


def test_quantised_convolutions_are_left_out(tmp_path):
    found = cut(tmp_path, "int8")
    assert [layer.cost.name for layer in found if layer.cost.op == "Conv"] == ["down1/conv1"]


def test_bfloat16_is_left_out(tmp_path):
    found = cut(tmp_path, "bf16")
    assert {layer.cost.op for layer in found} == {"ConvTranspose"}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_layer_s_file_computes_what_onnx_says(tmp_path, precision):
    onnxruntime = pytest.importorskip("onnxruntime")
    for layer in cut(tmp_path, precision):
        made = write_node(layer.node, layer.values, tmp_path / "layer.onnx")
        onnx.checker.check_model(made.path, full_check=True)
        assert OnnxModel.load(made.path).precision == precision
        (tensor,) = made.inputs
        x = np.random.default_rng(0).standard_normal(tensor.shape, np.float32)
        (y,) = onnxruntime.InferenceSession(made.path).run(
            None, {tensor.name: x.astype(tensor.dtype)}
        )
        assert y.shape == made.outputs[0].shape == layer.cost.shapes[-1]
        assert y.dtype == tensor.dtype
        assert 0.1 < np.std(y.astype(np.float32)) < 3  # of the size of what it reads


def test_a_layer_alone_costs_what_it_costs_without_what_is_fused(tmp_path):
    (layer,) = (one for one in cut(tmp_path, "fp16") if one.cost.name == "down2/conv1")
    assert layer.cost.fused == ()
    assert layer.cost.flops == 2 * 2 * 32 * 32 * 16 * 8 * 9
    assert layer.cost.nbytes == 2 * (2 * 8 * 32**2 + 2 * 16 * 32**2 + 16 * 8 * 9 + 16)


def test_on_a_gpu_the_device_s_clock_counts_and_warm_up_does_not(tmp_path):
    layers = cut(tmp_path, "fp16")[:2]
    taken = list(measure_layers(layers, lambda m: OpenedLayer(m, gpu=True), tmp_path, FAST))
    # One run to warm up, and one for the caches before each of three rounds.
    assert [one.samples_ns for one in taken] == [(300, 500, 700)] * 2
    assert taken[0].median_ns == 500


def test_on_a_cpu_the_host_s_clock_counts(tmp_path):
    sessions = []

    def opened(model):
        sessions.append(OpenedLayer(model, gpu=False))
        return sessions[-1]

    (taken,) = measure_layers(cut(tmp_path, "fp32")[:1], opened, tmp_path, FAST)
    assert len(taken.samples_ns) == 3
    assert sessions[0].bound[0].calls == ["launch", "wait"] * (1 + 2 * 3)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_layers_run_on_a_cpu(tmp_path, backend):
    pytest.importorskip(backend)
    layers = [one for name in ("fp32", "fp16") for one in cut(tmp_path, name)[-2:]]
    spec = SessionSpec(backend=backend)
    taken = list(measure_layers(layers, lambda m: open_session(m, spec), tmp_path, FAST))
    assert [one.failure for one in taken] == [None] * 4
    assert all(len(one.samples_ns) == 3 and min(one.samples_ns) > 0 for one in taken)


def test_a_layer_that_does_not_run_says_why_and_the_others_go_on(tmp_path):
    def opened(model):
        if model.made_with["layer"] == "down1/conv1":
            raise NoDevice("There is no GPU")
        return OpenedLayer(model, gpu=True)

    refused, other = measure_layers(cut(tmp_path, "fp32")[:2], opened, tmp_path, FAST)
    assert (refused.failure, refused.median_ns) == ("There is no GPU.", None)
    assert refused.to_json(CEILINGS) == []
    assert refused.share(CEILINGS) is None
    assert other.failure is None


def test_the_record_s_row_compares_the_layer_with_its_limit(tmp_path):
    (layer,) = (one for one in cut(tmp_path, "fp32") if one.cost.name == "down5/conv2")
    (taken,) = measure_layers([layer], lambda m: OpenedLayer(m, gpu=True), tmp_path, FAST)
    row, other = taken.to_json(CEILINGS)
    expected = max(row["flops"] / 1e12, row["bytes"] / 1e11) * 1e9
    assert row["attainable_ns"] == pytest.approx(expected)
    assert taken.share(CEILINGS) == pytest.approx(expected / 500)
    assert (row["name"], row["block"]) == ("down5/conv2", "down5")
    assert other == row | {"name": "up5/conv2", "block": "up5"}
    assert taken.to_json(None)[0]["attainable_ns"] is None
    assert taken.share(None) is None


def test_a_file_name_has_no_slash(tmp_path):
    seen = []
    layers = cut(tmp_path, "fp32")[:1]

    def opened(model):
        seen.append(model.path.name)
        return OpenedLayer(model, gpu=True)

    list(measure_layers(layers, opened, tmp_path, FAST))
    assert seen == ["00-down1-conv1.fp32.onnx"]

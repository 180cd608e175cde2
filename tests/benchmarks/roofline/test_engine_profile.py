"""The profiler over a fake library and a fake device; a real one takes a GPU."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.fakes.device import FakeDevice
from unetrt import vendor
from unetrt.artifacts import Engine
from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.benchmarks.roofline import engine_profile as module
from unetrt.benchmarks.roofline.engine_profile import engine_shares, operators, profile_engine
from unetrt.engine_layers import read_engine_layers
from unetrt.errors import ArtifactError, CheckFailed, NoDevice, ShapeError
from unetrt.gpu import find_gpu
from unetrt.tensors import TensorSpec

TOLD = json.dumps({"Layers": [{"Name": "conv", "LayerType": "CaskConvolution",
                               "Metadata": "[ONNX Layer: down1/conv1]"},
                              {"Name": "softmax", "LayerType": "SoftMax"}],
                   "I/O Tensors": ["image", "y"]})  # fmt: skip


class FakeContext:
    def __init__(self, device, *, runs, fits):
        self.device, self.runs, self.fits, self.count = device, runs, fits, 0
        self.shapes, self.addresses = {}, {}

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape
        return self.fits

    def get_tensor_shape(self, name):
        assert name == "y"
        return (*self.shapes["image"][:3], 2)

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        assert ("stream", stream) in self.device.held
        assert self.addresses.keys() == {"image", "y"}
        assert np.any(self.device.bytes_at(self.addresses["image"], 4 * 2 * 8 * 4))
        self.count += 1
        self.profiler.report_layer_time("conv", float(self.count))
        self.profiler.report_layer_time("softmax", 1.0)
        return self.runs


class FakeProfiler:
    def __init__(self):
        self.made_by_the_library = True


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = SimpleNamespace(device=FakeDevice(), told=TOLD, opens=True, runs=True, fits=True)
    inspector = SimpleNamespace(get_engine_information=lambda _form: world.told)
    opened = SimpleNamespace(
        create_execution_context=lambda: FakeContext(
            world.device, runs=world.runs, fits=world.fits
        ),
        create_engine_inspector=lambda: inspector,
    )
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda _plan: opened if world.opens else None)

    class Logger:
        ERROR = 1

        def __init__(self, severity):
            pass

    library = SimpleNamespace(
        __version__="fake", Logger=Logger, Runtime=lambda _log: runtime, IProfiler=FakeProfiler,
        LayerInformationFormat=SimpleNamespace(JSON=1),
    )  # fmt: skip
    monkeypatch.setattr(vendor, "tensorrt", lambda _backend: library)
    monkeypatch.setattr(module, "open_device", lambda: world.device)
    (tmp_path / "m.engine").write_bytes(b"plan")
    axes = ("batch", "height", "width")
    world.engine = Engine(
        tmp_path / "m.engine", "", backend="tensorrt",
        inputs=(TensorSpec("image", "float32", (*axes, 1)),),
        outputs=(TensorSpec("y", "float32", (*axes, 2)),),
    )  # fmt: skip
    return world


def profile(world):
    return profile_engine(world.engine, batch=2, height=8, width=4, runs=3)


def test_each_layer_s_times_are_kept_and_its_warm_up_is_not(world):
    layers, times = profile(world)
    assert times == {"conv": (6.0, 7.0, 8.0), "softmax": (1.0, 1.0, 1.0)}
    assert [layer.name for layer in layers.layers] == ["conv", "softmax"]
    shares = engine_shares(layers.layers, times, {"down1/conv1": "Conv"})
    assert shares.kinds == {"convolutions": 7 / 8, "others": 1 / 8}
    assert world.device.held == {}


def test_an_engine_that_does_not_open_is_refused(world):
    world.opens = False
    with pytest.raises(NoDevice, match="tensorrt fake cannot run"):
        profile(world)
    assert world.device.held == {}


def test_an_engine_that_does_not_run_is_refused_and_frees_its_memory(world):
    world.runs = False
    with pytest.raises(ArtifactError, match="did not run"):
        profile(world)
    assert world.device.held == {}


def test_a_size_that_the_engine_was_not_built_for_is_refused(world):
    world.fits = False
    with pytest.raises(ShapeError, match=r"refuses this size of 'image': got \(2, 8, 4, 1\)"):
        profile(world)
    assert world.device.held == {}


@pytest.mark.parametrize("told", ["no JSON", '{"Layers": [7]}', "[]"])
def test_another_version_s_inspector_is_refused(world, told):
    world.told = told
    with pytest.raises(ArtifactError, match="Cannot read what the engine inspector of fake says"):
        profile(world)


@pytest.mark.gpu
def test_a_real_engine_s_convolutions_take_most_of_its_time(tmp_path):
    if find_gpu() is None:
        pytest.skip("no NVIDIA GPU")
    from unetrt.benchmarks.networks.skeletons import fill_skeleton
    from unetrt.convert.to_engine import build_engine

    model = fill_skeleton("article", tmp_path / "m.onnx", precision="fp16")
    engine = build_engine(model, tmp_path / "m.engine")
    layers, times = profile_engine(engine, batch=1, height=512, width=512, runs=5)
    shares = engine_shares(layers.layers, times, operators(model))
    assert sum(share for kind, share in shares.kinds.items() if "convolutions" in kind) > 0.5


KINDS = {
    "down1/conv1": "Conv", "down1/relu1/relu": "Relu", "up1/upconv": "ConvTranspose",
    "up1/concat": "Concat", "probabilities": "Softmax", "down2/conv1": "Conv",
}  # fmt: skip


def layers(*told):
    return read_engine_layers(json.dumps({"Layers": list(told)})).layers


def layer(name, kind, *nodes, **more):
    metadata = "\u001e".join(f"[ONNX Layer: {node}]" for node in nodes)
    return {"Name": name, "LayerType": kind, "Metadata": metadata, **more}


def test_the_nodes_of_a_layer_are_read():
    (one,) = layers(layer("__myl_ConvRelu", "kgen", "down1/conv1", "down1/relu1/relu"))
    assert one.nodes == ("down1/conv1", "down1/relu1/relu")


def test_time_goes_to_kinds_and_blocks():
    told = layers(
        layer("a", "CaskConvolution", "down1/conv1", "down1/relu1/relu"),
        layer("b", "CaskDeconvolutionV2", "up1/upconv"),
        layer("c", "Reformat", "up1/upconv", Origin="REFORMAT"),
        layer("d", "NoOp", "up1/concat"),
        layer("e", "SoftMax", "probabilities"),
    )
    times = {"a": [4, 5, 90], "b": [2.0], "c": [1.0], "d": [1.0], "e": [1.0]}
    shares = engine_shares(told, times, KINDS)
    assert shares.kinds == {
        "convolutions": 0.5, "transposed convolutions": 0.2, "reformats": 0.1, "copies": 0.1,
        "others": 0.1,
    }  # fmt: skip
    assert shares.blocks == {"down1": 0.5, "up1": pytest.approx(0.4), "probabilities": 0.1}
    assert sum(shares.kinds.values()) == pytest.approx(1)
    assert shares.to_json()["runs"] == 3


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("down1/conv1 + down1/relu1/relu", "down1"),
        ("PWN(down1/relu1/relu)", "down1"),
        ("{ForeignNode[down1/conv1...down2/conv1]}", "down1, down2"),
        ("down2/conv1_myl0_12", "down2"),
        ("Reformatting CopyNode for Input Tensor 0 to down1/conv1", ""),
    ],
)
def test_without_metadata_the_layer_s_name_tells(name, block):
    shares = engine_shares(layers(name), {name: [1.0]}, KINDS)
    assert shares.blocks == {block: 1.0}


def test_a_layer_of_both_kinds_is_called_so():
    told = layers(layer("x", "kgen", "down1/conv1", "up1/upconv"))
    found = engine_shares(told, {"x": [1.0]}, KINDS)
    assert found.kinds == {"convolutions and transposed convolutions": 1.0}


@pytest.mark.parametrize("times", [{}, {"other": [1.0]}, {"x": [0.0]}, {"x": []}])
def test_times_of_no_layer_are_refused(times):
    with pytest.raises(CheckFailed, match="The profiler's layers are not those of the engine"):
        engine_shares(layers(layer("x", "kgen")), times, KINDS)


def test_the_nodes_of_a_file_have_kinds(tmp_path):
    kinds = operators(fill_skeleton("small", tmp_path / "m.onnx"))
    assert kinds["up3/upconv"] == "ConvTranspose"
    assert kinds["down2/conv1"] == "Conv"

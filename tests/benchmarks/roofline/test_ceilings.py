import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.fakes.candidates import ClockedDevice, FakeSession
from unetrt import vendor
from unetrt.benchmarks.roofline import ceilings
from unetrt.benchmarks.roofline.ceilings import Ceilings, ceilings_of
from unetrt.errors import UnsupportedModel
from unetrt.gpu import Gpu

H200 = Gpu("NVIDIA H200", "9.0", "13.0")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNETRT_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def measured(monkeypatch):
    """Count the measurements, and let each find other figures."""
    taken = []

    def measure_cpu():
        taken.append(len(taken) + 1)
        return {"float32": 1e11 * len(taken)}, 1e10, "a fake"

    monkeypatch.setattr(ceilings, "measure_cpu", measure_cpu)
    monkeypatch.setattr(ceilings, "_load", lambda: 0.1)
    return taken


def test_they_are_measured_once_and_kept(cache, measured):
    first, said = ceilings_of("cpu")
    again, said_again = ceilings_of("cpu")
    assert first == again
    assert len(measured) == 1
    assert said.startswith("ceilings measured now")
    assert str(cache) in said_again
    assert first.to_json()["how"] == f"a fake; measured {first.made[:10]}"


def test_those_of_a_busy_cpu_are_not_kept(cache, measured, monkeypatch):
    monkeypatch.setattr(ceilings, "_load", lambda: 3.0)
    found, said = ceilings_of("cpu")
    assert found.flops_per_s == {"float32": 1e11}
    assert said == "ceilings measured on a busy CPU (300% of its cores), and not kept"
    assert not list(cache.rglob("*.json"))


@pytest.mark.parametrize(
    "damage",
    ["", "{}", "[1]", '{"format": 99}', '{"format": 1, "flops_per_s": {"float32": 0}}', "negative"],
)
def test_a_damaged_file_is_measured_again(cache, measured, damage):
    ceilings_of("cpu")
    (file,) = (cache / "ceilings").iterdir()
    if damage == "negative":
        kept = json.loads(file.read_text())
        damage = json.dumps(kept | {"bytes_per_s": -1})
    file.write_text(damage)
    assert ceilings_of("cpu")[0].flops_per_s == {"float32": 2e11}


def test_without_a_gpu_its_ceilings_are_not_measured(monkeypatch):
    monkeypatch.setattr(ceilings, "find_gpu", lambda: None)
    assert ceilings_of("gpu") == (None, "ceilings not measured: there is no NVIDIA GPU")


def test_a_gpu_without_a_library_is_said_to_be_unmeasured(monkeypatch):
    monkeypatch.setattr(ceilings, "find_gpu", lambda: H200)
    monkeypatch.setattr(vendor, "installed", lambda _name: False)
    found, said = ceilings_of("gpu")
    assert found is None
    assert said.endswith("neither PyTorch with CUDA nor what builds engines is at hand")


def test_an_engine_that_cannot_be_built_is_a_reason(monkeypatch):
    def build(model, path):
        raise UnsupportedModel("No engine today")

    monkeypatch.setattr(vendor, "installed", lambda _name: False)
    assert ceilings.measure_gpu(build) == "No engine today."


class OpenedNode(FakeSession):
    def __init__(self, ns):
        warmup = [10 * ns] * ceilings._WARMUP
        super().__init__(ClockedDevice(warmup + [3 * ns, ns, 2 * ns] * 10))

    def bind(self, inputs):
        assert all(np.any(x) for x in inputs.values())  # zeros multiply faster
        return super().bind(inputs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.open == 0


def test_engines_of_one_node_measure_a_gpu(monkeypatch):
    monkeypatch.setattr(vendor, "installed", lambda _name: False)
    monkeypatch.setattr(ceilings, "_GPU_SIDE", 64)
    monkeypatch.setattr(ceilings, "_COPY_SHAPE", (1, 4, 8, 8))
    ns = {"MatMul": {"fp32": 2000, "fp16": 1000}, "Neg": {"fp32": 500}}
    monkeypatch.setattr(
        ceilings,
        "open_session",
        lambda engine: OpenedNode(ns[engine.made_with["layer"]][engine.precision]),
    )
    flops_per_s, bytes_per_s, how = ceilings.measure_gpu(lambda model, _path: model)
    assert flops_per_s["float32"] == pytest.approx(2 * 64**3 / 2e-6)
    assert flops_per_s["float16"] == pytest.approx(2 * 64**3 / 1e-6)
    assert bytes_per_s == pytest.approx(2 * 4 * 256 / 5e-7)
    assert "engine of one MatMul" in how


class FakeTorch(SimpleNamespace):
    """One that computes a product of float32 in 8 ms, of TF32 in 2, of halves in 1."""

    def __init__(self):
        self.now_ms = 0.0
        matmul = SimpleNamespace(allow_tf32=True)
        super().__init__(
            __version__="fake", float32="float32", float16="float16", bfloat16="bfloat16",
            backends=SimpleNamespace(cuda=SimpleNamespace(matmul=matmul)),
            cuda=SimpleNamespace(is_available=lambda: True, synchronize=lambda: None,
                                 Event=lambda **_: FakeEvent(self)),
        )  # fmt: skip

    def randn(self, *shape, device, dtype="float32"):
        assert device == "cuda"
        sizes = shape[0] if isinstance(shape[0], tuple) else shape
        count = int(np.prod(sizes))
        return SimpleNamespace(
            dtype=dtype, nelement=lambda: count, element_size=lambda: 4, copy_=self.copy
        )

    def empty_like(self, other):
        return other

    def matmul(self, a, b, out):
        assert a.dtype == b.dtype == out.dtype
        tf32 = self.backends.cuda.matmul.allow_tf32
        self.now_ms += (2 if tf32 else 8) if a.dtype == "float32" else 1

    def copy(self, _source):
        self.now_ms += 4


class FakeEvent:
    def __init__(self, torch):
        self.torch = torch

    def record(self):
        self.at = self.torch.now_ms

    def elapsed_time(self, end):
        return end.at - self.at


def test_pytorch_measures_float32_without_tf32_and_leaves_its_setting(monkeypatch):
    torch = FakeTorch()
    monkeypatch.setattr(vendor, "installed", lambda _name: True)
    monkeypatch.setattr(vendor, "torch", lambda: torch)
    flops_per_s, bytes_per_s, how = ceilings.measure_gpu(None)
    assert torch.backends.cuda.matmul.allow_tf32
    assert flops_per_s["tf32"] == pytest.approx(4 * flops_per_s["float32"])
    assert flops_per_s["float16"] == flops_per_s["bfloat16"] == pytest.approx(2 * 8192**3 / 1e-3)
    assert bytes_per_s == pytest.approx(2 * (1 << 30) / 4e-3)
    assert "cuBLAS" in how


def test_a_cpu_is_measured(monkeypatch):
    monkeypatch.setattr(ceilings, "_SIDE", 64)
    monkeypatch.setattr(ceilings, "_COPY_BYTES", 1 << 16)
    monkeypatch.setattr(ceilings, "_SECONDS", 0)
    flops_per_s, bytes_per_s, how = ceilings.measure_cpu()
    assert {"float32"} <= flops_per_s.keys() <= {"float32", "bfloat16"}
    assert min(bytes_per_s, *flops_per_s.values()) > 0
    assert "64 x 64" in how


@pytest.mark.gpu
def test_a_gpu_is_measured():
    found, said = ceilings_of("gpu")
    if found is None:
        pytest.skip(said)
    assert isinstance(found, Ceilings)
    assert found.flops_per_s["float16"] > found.flops_per_s["float32"]

"""TensorRT-RTX in the clothes of each TensorRT, on a machine that is said to have a GPU.

Building is real. Opening an engine takes a GPU, so what opens it is played.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.tensorrt_surface import dressed
from unetrt import vendor
from unetrt.convert import refit, to_engine
from unetrt.gpu import Gpu

SURFACES = json.loads((Path(__file__).parent / "tensorrt_builder_surfaces.json").read_text())
TENSORRT = [version for version in SURFACES if version.startswith("tensorrt ")]
RTX = next(version for version in SURFACES if version.startswith("tensorrt_rtx"))
H100 = Gpu("NVIDIA H100", "9.0", "13.0")

TEN = {
    "Layers": [
        {"Name": "reformat", "LayerType": "Reformat", "Inputs": [{"Format/Datatype": "Half"}]},
        {"Name": "conv0", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Half"}]},
    ],
    "Bindings": ["image", "y"],
}  # fmt: skip


class FakeInspector:
    surface_class = "EngineInspector"

    def get_engine_information(self, _format):
        return json.dumps(TEN)


class FakeSerializationConfig:
    surface_class = "ISerializationConfig"

    def __init__(self):
        self.flags = {"EXCLUDE_WEIGHTS"}

    def set_flag(self, flag):
        self.flags.add(flag.name)
        return True

    def clear_flag(self, flag):
        self.flags.discard(flag.name)
        return True


class FakeEngine:
    surface_class = "ICudaEngine"
    refittable = True
    stored_with = None

    def create_engine_inspector(self):
        return FakeInspector()

    def create_serialization_config(self):
        return FakeSerializationConfig()

    def serialize_with_config(self, config):
        FakeEngine.stored_with = config.flags
        return b"refitted"


class FakeRuntime:
    """Opening an engine takes a GPU, so what opens it is played."""

    surface_class = "Runtime"
    engine_host_code_allowed = False

    def __init__(self, log):
        self.log = log

    def deserialize_cuda_engine(self, plan):
        return FakeEngine() if memoryview(plan).nbytes else None


class FakeRefitter:
    surface_class = "Refitter"
    missing = ()

    def __init__(self, engine, _log):
        assert isinstance(engine, FakeEngine)

    def get_missing_weights(self):
        return list(self.missing)

    def refit_cuda_engine(self):
        return True


class FakeParserRefitter:
    surface_class = "OnnxParserRefitter"
    given = b""
    num_errors = 0

    def __init__(self, refitter, _log):
        assert isinstance(refitter, FakeRefitter)

    def refit_from_bytes(self, content, _path):
        FakeParserRefitter.given = content
        return True


@pytest.fixture
def library(monkeypatch, tmp_path):
    """Return a function that puts the library into a version's clothes, on a machine with a GPU."""
    rtx = pytest.importorskip("tensorrt_rtx")

    def put_on(version, gpu=H100):
        trt = dressed(
            rtx,
            SURFACES,
            version,
            Runtime=FakeRuntime,
            Refitter=FakeRefitter,
            OnnxParserRefitter=FakeParserRefitter,
        )
        monkeypatch.setattr(vendor, "tensorrt", lambda _name: trt)
        for module in (to_engine, refit):
            monkeypatch.setattr(module, "find_gpu", lambda: gpu)
        return trt

    monkeypatch.setenv("UNETRT_CACHE", str(tmp_path / "cache"))
    return put_on

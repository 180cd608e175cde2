"""Refit engines: the refusals before one is touched, and the calls in each version."""

import dataclasses

import pytest

from tests.convert.graphs import chain
from tests.fakes.tensorrt_builder import (
    RTX,
    SURFACES,
    TENSORRT,
    FakeEngine,
    FakeParserRefitter,
    FakeRefitter,
    FakeRuntime,
    library,
)
from unetrt.convert.refit import refit_engine
from unetrt.convert.to_engine import EngineSpec, build_engine
from unetrt.errors import ArtifactError, BadInput, NoDevice, UnsupportedModel
from unetrt.gpu import Gpu, find_gpu
from unetrt.normalization import Normalization

__all__ = ["library"]

pytest.importorskip("tensorrt_rtx")
pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")


@pytest.fixture
def built(tmp_path):
    """Return an engine as it would be had it been built refittable, and its model."""
    model = chain(tmp_path / "m.onnx", "fp16", "fp32 up", precision="fp16", kept=("conv1",))
    engine = build_engine(model, tmp_path / "m.engine", EngineSpec(backend="tensorrt-rtx"))
    return dataclasses.replace(engine, refittable=True), model


def test_an_engine_that_was_not_built_for_it_is_refused(built, tmp_path):
    engine, model = built
    plain = dataclasses.replace(engine, refittable=False)
    with pytest.raises(BadInput, match="cannot take new weights: .*again with `refittable=True`"):
        refit_engine(plain, model, tmp_path / "out.engine")


@pytest.mark.parametrize(
    "kinds", [("fp16", "fp16 up"), ("fp16", "fp32"), ("fp16", "fp32 up", "fp16")]
)
def test_another_network_is_refused(built, tmp_path, kinds):
    other = chain(tmp_path / "other.onnx", *kinds, precision="fp16")
    with pytest.raises(ArtifactError, match=r"other.onnx is not the network .*m.engine was built"):
        refit_engine(built[0], other, tmp_path / "out.engine")


@pytest.mark.skipif(find_gpu() is not None, reason="needs a machine without a GPU")
def test_without_a_gpu_the_same_network_is_refused_by_that_alone(built, tmp_path, monkeypatch):
    import onnx
    from onnx import numpy_helper

    from unetrt import vendor

    monkeypatch.setattr(vendor, "tensorrt", None)
    engine, model = built
    proto = onnx.load(model.path)
    for weight in proto.graph.initializer:
        array = numpy_helper.to_array(weight) * 2
        weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    new = dataclasses.replace(model, path=tmp_path / "new.onnx")
    onnx.save(proto, new.path)
    with pytest.raises(NoDevice, match="no NVIDIA GPU with a driver"):
        refit_engine(engine, new, tmp_path / "out.engine")
    assert not (tmp_path / "out.engine").exists()


@pytest.fixture
def refittable(tmp_path):
    """Return an engine that says it can be refitted, and two sets of weights for its network."""

    def build(version, **changes):
        old = chain(tmp_path / "old.onnx", "fp16", "fp16 up", precision="fp16")
        backend = "tensorrt-rtx" if version == RTX else "tensorrt"
        built = build_engine(old, tmp_path / "old.engine", EngineSpec(backend=backend))
        new = tmp_path / "new.onnx"
        new.write_bytes(old.path.read_bytes())
        changed = {"classes": ("a", "b"), "normalization": Normalization()}
        new_model = dataclasses.replace(old, path=new, sha256="new", **changed)
        return dataclasses.replace(built, **changes), old, new_model

    return build


@pytest.mark.parametrize("version", SURFACES)
def test_refitting_calls_what_each_version_has(library, version, refittable, tmp_path):
    trt = library(version)
    engine, _, new = refittable(version, refittable=True)
    out = refit_engine(engine, new, tmp_path / "out.engine")
    assert out.path.read_bytes() == b"refitted"
    assert FakeParserRefitter.given == new.path.read_bytes()
    assert (out.source["file"], out.classes) == ("new.onnx", ("a", "b"))
    assert (engine.normalization, out.normalization) == (None, new.normalization)
    assert out.made_with["refitted_from"] == engine.as_source
    assert (out.refittable, out.stripped, out.receipt) == (True, False, engine.receipt)
    assert out.profiles == engine.profiles
    stays = ("SerializationFlag", "INCLUDE_REFIT")
    assert (stays in trt.surface.touched) == ("INCLUDE_REFIT" in SURFACES[version][stays[0]])
    assert FakeEngine.stored_with == ({"INCLUDE_REFIT"} if stays in trt.surface.touched else set())
    assert ("OnnxParserRefitter", "refit_from_bytes") in trt.surface.touched


def test_a_stripped_engine_takes_back_its_own_weights_alone(library, refittable, tmp_path):
    library(TENSORRT[-1])
    engine, old, new = refittable(TENSORRT[-1], stripped=True)
    with pytest.raises(BadInput, match="takes back its own weights alone: got new.onnx"):
        refit_engine(engine, new, tmp_path / "out.engine")
    out = refit_engine(engine, old, tmp_path / "out.engine")
    assert (out.stripped, out.refittable) == (False, False)


def test_weights_that_are_missing_are_named_and_no_file_is_left(
    library, refittable, tmp_path, monkeypatch
):
    library(TENSORRT[-1])
    engine, _, new = refittable(TENSORRT[-1], refittable=True)
    monkeypatch.setattr(FakeRefitter, "missing", ("conv0/kernel",))
    with pytest.raises(UnsupportedModel, match="got none for conv0/kernel"):
        refit_engine(engine, new, tmp_path / "out.engine")
    assert not list(tmp_path.glob("*out.engine*"))


def test_another_version_or_gpu_is_refused_before_the_engine_is_read(
    library, refittable, tmp_path, monkeypatch
):
    library(TENSORRT[0])
    engine, _, new = refittable(TENSORRT[0], refittable=True)
    monkeypatch.setattr(FakeRuntime, "deserialize_cuda_engine", None)
    library(TENSORRT[1])
    with pytest.raises(ArtifactError, match="got 10.12.0.36, expected 10.16.1.11"):
        refit_engine(engine, new, tmp_path / "out.engine")
    library(TENSORRT[0], Gpu("NVIDIA L4", "8.9", "13.0"))
    with pytest.raises(NoDevice, match="built for another GPU: got NVIDIA L4"):
        refit_engine(engine, new, tmp_path / "out.engine")

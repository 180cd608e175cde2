"""Build for real, on TensorRT-RTX dressed as each TensorRT we support.

What a version's Python API lacks raises AttributeError here as it would there, so a build that ends
well touched nothing that is not in that version; see tests/fakes/tensorrt_surface.py.
"""

import pytest

from tests.convert.graphs import chain
from tests.fakes.tensorrt_builder import RTX, SURFACES, TENSORRT, FakeInspector, library
from tests.fakes.tensorrt_surface import dressed
from unetrt.convert.to_engine import EngineSpec, build_engine
from unetrt.errors import BadInput, UnsupportedModel
from unetrt.gpu import Gpu

__all__ = ["library"]

rtx = pytest.importorskip("tensorrt_rtx")
pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")


def test_there_are_the_versions_that_we_promise():
    assert [version.split()[1].rsplit(".", 2)[0] for version in TENSORRT] == [
        "10.12", "10.16", "11.0", "11.4",
    ]  # fmt: skip


@pytest.mark.parametrize("version", TENSORRT)
def test_tensorrt_builds_with_what_each_version_has(library, version, tmp_path):
    trt = library(version)
    spec = EngineSpec(
        backend="tensorrt",
        tf32=True,
        workspace_bytes=2**30,
        optimization_level=2,
        hardware_compatibility="ampere-plus",
    )
    model = chain(
        tmp_path / "m.onnx",
        "fp16",
        "int8",
        "fp16 up",
        precision="fp16",
        kept=("conv1",),
    )
    engine = build_engine(model, tmp_path / "m.engine", spec)
    touched, had = trt.surface.touched, SURFACES[version]
    strongly = ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED")
    assert strongly in touched or strongly in trt.surface.lacked
    assert touched >= {("BuilderFlag", "TF32"), ("MemoryPoolType", "WORKSPACE"),
        ("HardwareCompatibilityLevel", "AMPERE_PLUS"), ("IBuilderConfig", "set_timing_cache"),
        ("OnnxParser", "parse"), ("IConvolutionLayer", "kernel_size_nd"),
        ("IDeconvolutionLayer", "num_groups"), ("ITensor", "shape")}  # fmt: skip
    assert all(cls == "" or member in had[cls] for cls, member in touched)
    assert len(touched) > 50
    assert engine.backend_version == version.split()[1]
    assert engine.receipt.inspection.reformats == 1
    assert (engine.receipt.inspection.layers, engine.receipt.inspection.types) == (
        2,
        {"fp16": 1},
    )
    assert engine.target.gpu.name == "NVIDIA H100"


@pytest.mark.parametrize("version", SURFACES)
def test_no_version_is_asked_for_precision_by_a_builder_flag(library, version, tmp_path):
    trt = library(version)
    backend = "tensorrt-rtx" if version == RTX else "tensorrt"
    model = chain(tmp_path / "m.onnx", "fp16", precision="fp16")
    build_engine(model, tmp_path / "m.engine", EngineSpec(backend=backend))
    assert {m for cls, m in trt.surface.touched if cls == "BuilderFlag"} == {"TF32"}


@pytest.mark.parametrize("version", SURFACES)
@pytest.mark.parametrize("option", ["refittable", "stripped", "version_compatible"])
def test_the_flags_of_the_options_exist_everywhere(library, version, option, tmp_path):
    """Without a GPU TensorRT-RTX itself cannot build with them; they are set all the same."""
    if version == RTX and option == "version_compatible":
        pytest.skip("TensorRT-RTX has no such engines")
    trt = library(version)
    backend = "tensorrt-rtx" if version == RTX else "tensorrt"
    spec = EngineSpec(backend=backend, **{option: True})
    with pytest.raises(UnsupportedModel, match="cannot build"):
        build_engine(chain(tmp_path / "m.onnx", "fp32"), tmp_path / "m.engine", spec)
    flags = {"refittable": "REFIT", "stripped": "STRIP_PLAN"}
    expected = ("BuilderFlag", flags.get(option, "VERSION_COMPATIBLE"))
    assert expected in trt.surface.touched
    assert {path.name for path in tmp_path.iterdir()} <= {"m.onnx", "cache"}


def test_an_inspector_that_speaks_otherwise_costs_a_warning_and_no_engine(
    library, tmp_path, monkeypatch
):
    library(TENSORRT[-1])
    monkeypatch.setattr(FakeInspector, "get_engine_information", lambda *_: "no JSON")
    spec = EngineSpec(backend="tensorrt")
    engine = build_engine(chain(tmp_path / "m.onnx", "fp32"), tmp_path / "m.engine", spec)
    assert any("Cannot read what the engine inspector" in w for w in engine.warnings)
    assert engine.receipt.inspection is None


def test_tensorrt_rtx_takes_targets_and_keeps_no_timings(library, tmp_path):
    trt = library(RTX)
    spec = EngineSpec(backend="tensorrt-rtx", targets=("8.6", "12.0"))
    engine = build_engine(chain(tmp_path / "m.onnx", "fp32"), tmp_path / "m.engine", spec)
    touched = trt.surface.touched
    assert ("IBuilderConfig", "set_compute_capability") in touched
    assert not {m for _, m in touched if "timing" in m}
    assert not (tmp_path / "cache").exists()
    assert engine.target.compute_capabilities == ("8.6", "12.0")


@pytest.mark.parametrize("version", TENSORRT)
def test_tensorrt_refuses_targets(library, version, tmp_path):
    library(version)
    spec = EngineSpec(backend="tensorrt", targets=("8.6",))
    with pytest.raises(BadInput, match="tensorrt has no `targets`; .*GPU that it runs on"):
        build_engine(chain(tmp_path / "m.onnx", "fp32"), tmp_path / "m.engine", spec)


def test_timings_are_kept_by_version_and_gpu_and_a_spoilt_file_is_begun_again(library, tmp_path):
    library(TENSORRT[0])
    model, spec = chain(tmp_path / "m.onnx", "fp32"), EngineSpec(backend="tensorrt")
    first = build_engine(model, tmp_path / "m.engine", spec)
    assert not [w for w in first.warnings if "cache" in w]
    (kept,) = (tmp_path / "cache").rglob("*.timing")
    assert kept.parent.name == "tensorrt-10.12.0.36"
    assert kept.name == "NVIDIA-H100-sm9.0-cuda13.0.timing"
    good = kept.read_bytes()
    kept.write_bytes(b"spoilt")
    again = build_engine(model, tmp_path / "m.engine", spec)
    assert [w for w in again.warnings if "timing cache" in w]
    assert kept.read_bytes() == good
    library(TENSORRT[0], Gpu("NVIDIA L4", "8.9", "13.0"))
    build_engine(model, tmp_path / "m.engine", spec)
    library(TENSORRT[1])
    build_engine(model, tmp_path / "m.engine", spec)
    assert len(list((tmp_path / "cache").rglob("*.timing"))) == 3
    assert not list((tmp_path / "cache").rglob(".*"))


def test_a_cache_that_cannot_be_kept_costs_a_warning_and_no_engine(library, tmp_path):
    library(TENSORRT[-1])
    (tmp_path / "cache").write_text("a file where the folder should be")
    engine = build_engine(
        chain(tmp_path / "m.onnx", "fp32"), tmp_path / "m.engine", EngineSpec(backend="tensorrt")
    )
    assert any("The cache was not kept" in warning for warning in engine.warnings)


def test_the_wardrobe_hides_what_a_version_lacks():
    """A guard that cannot fail is none: the code of another version fails in these clothes."""
    trt = dressed(rtx, SURFACES, TENSORRT[-1])
    with pytest.raises(AttributeError, match="BuilderFlag has no FP16"):
        _ = trt.BuilderFlag.FP16
    with pytest.raises(AttributeError, match="no ComputeCapability in this version"):
        _ = trt.ComputeCapability
    with pytest.raises(AttributeError, match="ILayer has no precision"):
        _ = trt.ILayer.precision
    with pytest.raises(AssertionError, match="IResizeLayer is in no surface"):
        _ = trt.IResizeLayer
    assert hasattr(rtx.ITensor, "name")
    assert "name" not in SURFACES[RTX]["ITensor"]

"""Opening engines over a fake library: what is refused, and before what.

The library wears each version's surface: a member that TensorRT's API lacks in one of them is
not there, and the backend fails.
"""

from pathlib import Path

import pytest

from tests.fakes.tensorrt_runtime import A10, SURFACES
from unetrt.artifacts import Engine, EngineTarget
from unetrt.engine_compatibility import HOST_CODE
from unetrt.errors import ArtifactError, NoDevice
from unetrt.gpu import Gpu
from unetrt.runtime import SessionSpec
from unetrt.runtime.backends import tensorrt as backend


def test_what_was_compiled_is_kept_for_the_next_session(world, tmp_path):
    world.open().close()
    (kept,) = (tmp_path / "cache").rglob("*.runtime")
    assert kept.read_bytes() == b"good and more"
    assert kept.parent.name == "tensorrt-rtx-1.7.1.116"
    assert kept.name == "NVIDIA-A10-sm8.6-cuda13.0.runtime"
    world.open().close()  # reads it without a word


def test_a_spoilt_runtime_cache_is_begun_again_with_a_warning(world, tmp_path):
    world.open().close()
    (kept,) = (tmp_path / "cache").rglob("*.runtime")
    kept.write_bytes(b"spoilt")
    with pytest.warns(RuntimeWarning, match="does not fit this library and GPU"):
        opened = world.open()
    opened.close()
    assert kept.read_bytes() == b"good and more"


def unreadable(monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", None)


def test_an_engine_of_another_version_is_refused_before_it_is_read(world, monkeypatch):
    unreadable(monkeypatch)
    expected = r"got 1.6.0, expected 1.7.1.116.*do not cross versions: build it again"
    with pytest.raises(ArtifactError, match=expected):
        world.open(backend_version="1.6.0")


def test_an_engine_of_another_backend_is_refused_before_it_is_read(world, monkeypatch):
    unreadable(monkeypatch)
    with pytest.raises(ArtifactError, match="got 'tvm', expected tensorrt or tensorrt-rtx"):
        world.open(backend="tvm")


L4 = Gpu("NVIDIA L4", "8.9", "13.0")
TURING = Gpu("NVIDIA T4", "7.5", "13.0")


@pytest.mark.parametrize(
    ("level", "gpu", "expected"),
    [
        (None, L4, "NVIDIA L4 of compute capability 8.9, expected NVIDIA A10"),
        (None, Gpu("NVIDIA A40", "8.6", "13.0"), "expected NVIDIA A10 of compute capability 8.6"),
        ("same-compute-capability", L4, "expected compute capability 8.6"),
        ("ampere-plus", TURING, "expected compute capability 8.0 or newer"),
        (None, A10, None),
        ("same-compute-capability", Gpu("NVIDIA A40", "8.6", "13.0"), None),
        ("ampere-plus", Gpu("NVIDIA RTX 5090", "12.0", "13.0"), None),
    ],
)
def test_a_tensorrt_engine_runs_on_the_gpu_it_was_built_for(
    world_of, monkeypatch, level, gpu, expected
):
    world = world_of("tensorrt 11.4.0.106", gpu)
    target = EngineTarget(gpu=A10, hardware_compatibility=level)
    if expected is None:
        world.open(target=target).close()
        return
    unreadable(monkeypatch)
    with pytest.raises(NoDevice, match=f"built for another GPU: .*{expected}.*again"):
        world.open(target=target)


@pytest.mark.parametrize(
    ("targets", "fits"),
    [
        ((), True),
        (("8.0", "8.6"), True),
        (("12.0",), False),
        (("current",), True),
        (("all",), True),
    ],
)
def test_an_rtx_engine_runs_on_its_targets(world, monkeypatch, targets, fits):
    target = EngineTarget(gpu=A10, compute_capabilities=targets)
    if fits:
        world.open(target=target).close()
        return
    unreadable(monkeypatch)
    with pytest.raises(NoDevice, match=r"expected compute capability 12.0; .*`targets=\('8.6',\)`"):
        world.open(target=target)


def test_an_engine_without_its_weights_is_refused(world, monkeypatch):
    unreadable(monkeypatch)
    with pytest.raises(ArtifactError, match="built without its weights; refit it first"):
        world.open(stripped=True)


@pytest.mark.parametrize("version", ["tensorrt 10.16.1.11", "tensorrt 11.4.0.106"])
def test_a_version_compatible_engine_wants_leave_and_a_library_no_older(
    world_of, monkeypatch, version
):
    world = world_of(version)
    compatible = EngineTarget(gpu=A10, version_compatible=True)
    older = {"target": compatible, "backend_version": "10.9.0.34"}
    monkeypatch.delenv(HOST_CODE, raising=False)
    with pytest.raises(
        ArtifactError, match=f"carries code that runs on the CPU; set {HOST_CODE}=1"
    ):
        world.open(**older)
    monkeypatch.setenv(HOST_CODE, "1")
    world.open(**older).close()
    assert world.host_code
    with pytest.raises(ArtifactError, match=r"got 12.0.0.1, expected .* or older"):
        world.open(target=compatible, backend_version="12.0.0.1")
    world.open().close()
    assert not world.host_code


def test_what_the_header_says_is_heeded_before_the_engine_is_opened(world):
    world.invalid = 3
    with pytest.raises(NoDevice, match="got VERSION_MISMATCH, UNSUPPORTED_CC; build it again"):
        world.open()
    assert world.device.held == {}


def test_an_engine_the_library_refuses_names_the_gpu(world):
    world.refuses = True
    with pytest.raises(NoDevice, match=r"refuses .*m.engine: got .*A10.*build the engine again"):
        world.open()
    assert world.device.held == {}


def test_a_sidecar_that_lies_about_the_tensors_is_refused(world):
    """Device memory is allocated by what the sidecar says."""
    engine = world.engine()
    world.types = {"image": "float32", "sum": "uint8"}
    with pytest.raises(ArtifactError, match="not what its sidecar says: got tensors .*UINT8"):
        backend.open_backend(engine, SessionSpec())
    assert world.device.held == {}


def test_without_a_gpu_the_sentence_says_where_to_go(world_of):
    world = world_of(gpu=None)
    with pytest.raises(
        NoDevice, match="no NVIDIA GPU with a driver.*copy the engine and its .json"
    ):
        world.open()


def test_a_truncated_engine_is_refused_before_it_is_opened(tmp_path):
    whole = Engine.write(
        tmp_path / "m.engine", lambda path: path.write_bytes(bytes(1000)), backend="tensorrt"
    )
    whole.path.write_bytes(bytes(500))
    with pytest.raises(ArtifactError, match="cut short or changed; make it again"):
        Engine.load(whole.path)


def test_the_surfaces_are_of_the_versions_that_we_promise():
    versions = [version.split()[1].rsplit(".", 2)[0] for version in SURFACES]
    assert versions == ["10.12", "10.16", "11.0", "11.4", "1.7"]

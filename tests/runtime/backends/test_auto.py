"""Which backend "auto" takes, and why it says it does."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, BadInput, NoDevice
from unetrt.gpu import find_gpu
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.backends import onnxruntime_session as ort_session
from unetrt.runtime.backends import openvino

pytestmark = pytest.mark.tf

no_gpu = pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU")


@no_gpu
def test_on_a_cpu_openvino_is_taken_and_the_reasons_are_told(road):
    pytest.importorskip("openvino")
    with open_session(road / "model.fp32.onnx") as session:
        info = session.info
    assert info["backend"] == "openvino"
    assert info["why"].startswith("on a CPU OpenVINO was the fastest")
    assert "not onnxruntime-cuda: no NVIDIA GPU with a driver" in info["why"]
    assert "fast" not in info


@no_gpu
def test_without_openvino_it_is_onnx_runtime(road, monkeypatch):
    monkeypatch.setattr(openvino.vendor, "installed", lambda name: name != "openvino")
    with open_session(road / "model.fp32.onnx") as session:
        assert session.info["backend"] == "onnxruntime"
        assert "not openvino: it is not installed" in session.info["why"]


@no_gpu
def test_a_file_that_openvino_cannot_open_falls_to_the_next_and_says_so(road, monkeypatch):
    def refuse(*_):
        raise ArtifactError("OpenVINO cannot open it", got="an operation it does not know")

    monkeypatch.setattr(openvino, "open_backend", refuse)
    with open_session(road / "model.fp32.onnx") as session:
        assert session.info["backend"] == "onnxruntime"
        assert "not openvino: OpenVINO cannot open it: got an operation" in session.info["why"]


def test_a_name_is_taken_at_its_word(road):
    with open_session(road / "model.fp32.onnx", SessionSpec(backend="onnxruntime")) as session:
        assert session.info["device"] == "CPU"
        assert session.info["why"] == "asked for by name"


@no_gpu
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_asked_for_that_is_not_there_is_an_error(road, provider):
    spec = SessionSpec(backend=f"onnxruntime-{provider}")
    with pytest.raises(NoDevice, match="got no NVIDIA GPU with a driver; run where there is a GPU"):
        open_session(road / "model.fp32.onnx", spec)


def test_a_gpu_without_the_provider_names_the_extra(road, monkeypatch):
    monkeypatch.setattr(ort_session, "find_gpu", lambda: "an H100")
    spec = SessionSpec(backend="onnxruntime-tensorrt")
    with pytest.raises(NoDevice, match=r"has no TensorrtExecutionProvider; .*'unetrt\[gpu\]'"):
        open_session(road / "model.fp32.onnx", spec)
    with open_session(road / "model.fp32.onnx") as session:
        assert "has no CUDAExecutionProvider" in session.info["why"]


class _Loaded:
    """An ONNX Runtime whose provider is listed and does not load: it takes the CPU, silently."""

    __version__ = "1.0"

    class SessionOptions:
        intra_op_num_threads = 0

    class InferenceSession:
        asked = None

        def __init__(self, _path, *, sess_options, providers, enable_fallback):
            assert sess_options.intra_op_num_threads == 0
            type(self).asked = providers
            assert not enable_fallback

        def get_providers(self):
            return [name for name, _ in self.asked if name not in _Loaded.lost]

    lost = ()

    @staticmethod
    def get_available_providers():
        return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(ort_session, "find_gpu", lambda: "an H100")
    monkeypatch.setattr(ort_session.vendor, "onnxruntime", lambda: _Loaded)
    return lambda *names: monkeypatch.setattr(_Loaded, "lost", names)


@pytest.mark.parametrize(
    ("backend", "lost"),
    [("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")],
)
def test_a_provider_that_does_not_load_is_an_error_never_the_cpu(road, gpu, backend, lost):
    gpu(lost)
    with pytest.raises(NoDevice, match=f"could not load its {lost}.*onnxruntime-gpu"):
        open_session(road / "model.fp32.onnx", SessionSpec(backend=f"onnxruntime-{backend}"))


def test_with_a_gpu_auto_takes_cuda_and_tensorrt_only_where_tf32_is_allowed(road, gpu):
    gpu()
    session = open_session(road / "model.fp32.onnx")
    assert (session.info["device"], session.info["computes_in"]) == ("CUDA", "float32")
    assert _Loaded.InferenceSession.asked[0] == ("CUDAExecutionProvider", {"use_tf32": "0"})
    assert "not onnxruntime-tensorrt: it may round float32 to TF32" in session.info["why"]
    session = open_session(road / "model.fp16.onnx", SessionSpec(precision="fast"))
    assert (session.info["device"], session.info["computes_in"]) == ("Tensorrt", "float16")
    gpu("TensorrtExecutionProvider")
    session = open_session(road / "model.fp32.onnx", SessionSpec(precision="fast"))
    assert (session.info["device"], session.info["computes_in"]) == ("CUDA", "tf32")
    assert "not onnxruntime-tensorrt: ONNX Runtime could not load" in session.info["why"]


@pytest.mark.parametrize(
    ("precision", "options", "computes_in"),
    [
        ("fp32", {}, "tf32"),
        ("fp16", {"trt_fp16_enable": "1"}, "float16"),
        ("bf16", {"trt_bf16_enable": "1"}, "bfloat16"),
        ("int8", {"trt_int8_enable": "1"}, "int8, the rest tf32"),
    ],
)
def test_the_tensorrt_provider_is_told_the_precision(road, gpu, precision, options, computes_in):
    gpu()
    model = replace(OnnxModel.load(road / "model.fp32.onnx"), precision=precision)
    session = open_session(model, SessionSpec(backend="onnxruntime-tensorrt"))
    assert _Loaded.InferenceSession.asked[0] == ("TensorrtExecutionProvider", options)
    assert session.info["computes_in"] == computes_in


def test_fp16_on_a_cpu_is_told_to_be_float32(road):
    for backend in ("onnxruntime", "openvino"):
        with open_session(road / "model.fp16.onnx", SessionSpec(backend=backend)) as session:
            assert session.info["precision"] == "fp16"
            assert session.info["computes_in"] == "float32"


def test_fast_is_what_the_library_says_it_compiled(road):
    pytest.importorskip("openvino")
    import openvino as library

    can = "BF16" in library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    x = np.full((1, 32, 32, 1), 99, np.float32)
    with (
        open_session(road / "model.fp32.onnx", SessionSpec(backend="openvino")) as own,
        open_session(
            road / "model.fp32.onnx", SessionSpec(backend="openvino", precision="fast")
        ) as fast,
    ):
        assert own.info["computes_in"] == "float32"
        assert fast.info["computes_in"] == ("bfloat16" if can else "float32")
        assert fast.info["fast"].startswith("floating point" if can else "nothing gained")
        assert np.array_equal(own.run(x), fast.run(x)) != can


def test_fast_where_the_cpu_has_no_bfloat16_is_no_error(road, monkeypatch):
    library = pytest.importorskip("openvino")

    class Core(library.Core):
        def get_property(self, *words):
            return (
                ["FP32"] if "OPTIMIZATION_CAPABILITIES" in words else super().get_property(*words)
            )

    monkeypatch.setattr(library, "Core", Core)
    spec = SessionSpec(backend="openvino", precision="fast")
    with open_session(road / "model.fp32.onnx", spec) as session:
        assert session.info["computes_in"] == "float32"
        assert session.info["fast"] == "nothing gained: this CPU has no bfloat16"


def test_fast_gains_nothing_with_onnx_runtime_and_says_so(road):
    spec = SessionSpec(backend="onnxruntime", precision="fast")
    with open_session(road / "model.fp32.onnx", spec) as session:
        assert session.info["computes_in"] == "float32"
        assert session.info["fast"].startswith("nothing gained")


@pytest.mark.parametrize("changes", [{"precision": "half"}, {"tiling": "fuzzy"}, {"threads": 0}])
def test_what_a_spec_does_not_know_is_refused(changes):
    with pytest.raises(BadInput, match="Cannot open a session"):
        SessionSpec(**changes)


def test_no_library_at_all_names_the_extra(road, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(openvino.vendor, "installed", lambda _name: False)
    with pytest.raises(BadInput, match=r"pip install 'unetrt\[cpu\]'"):
        open_session(road / "model.fp32.onnx")

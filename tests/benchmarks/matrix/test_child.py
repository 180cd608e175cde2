import pytest

from unetrt.benchmarks.matrix import child as module
from unetrt.benchmarks.matrix.child import artifact_of, network_of
from unetrt.benchmarks.matrix.matrix_spec import RowSpec
from unetrt.errors import UnsupportedModel


class Files:
    """Stands in for filling and building; counts both."""

    def __init__(self, monkeypatch):
        self.filled, self.built = [], []
        for kind in ("OnnxModel", "Engine"):
            monkeypatch.setattr(getattr(module, kind), "load", lambda path: path)

    def fill(self, name, path, **sizes):
        self.filled.append((name, sizes["precision"], sizes["height"], sizes["width"]))
        path.touch()
        return path

    def build(self, model, path, spec):
        self.built.append((model.name, spec.precision, spec.batch))
        path.touch()
        return path


def test_a_file_is_made_once_and_tf32_is_an_engine_of_the_float32_file(monkeypatch, tmp_path):
    files = Files(monkeypatch)
    specs = [
        RowSpec("article", 256, batch, precision, backend, "core")
        for batch in (1, 4)
        for precision in ("fp32", "tf32")
        for backend in ("tensorrt", "onnxruntime")
        if (precision, backend) != ("tf32", "onnxruntime")
    ]
    for spec in [*specs, *specs]:
        artifact_of(spec, network_of(spec, tmp_path, files.fill), tmp_path, files.build)
    assert files.filled == [("article", "fp32", 256, 256)]
    assert sorted(files.built) == sorted(
        ("article.256.fp32.onnx", precision, batch)
        for batch in (1, 4) for precision in ("fp32", "tf32")
    )  # fmt: skip


def test_tf32_is_no_file_of_a_library_on_a_cpu(tmp_path):
    spec = RowSpec("article", 256, 1, "tf32", "openvino", "core")
    with pytest.raises(UnsupportedModel, match="openvino has no TF32"):
        artifact_of(spec, None, tmp_path, None)

import json

import pytest

from unetrt.artifacts import (
    Engine,
    EngineTarget,
    KerasFile,
    OnnxModel,
    sidecar_of,
)
from unetrt.errors import ArtifactError
from unetrt.gpu import Gpu
from unetrt.receipt import Inspection, Receipt
from unetrt.sizes import ReceptiveField, SizeRule
from unetrt.tensors import ShapeProfile, TensorSpec


@pytest.fixture
def engine(tmp_path):
    path = tmp_path / "m.engine"
    return Engine.write(
        path,
        lambda temporary: temporary.write_bytes(b"an engine"),
        classes=("background", "cell"),
        sizes=SizeRule(16, 12, 92),
        source={"file": "m.onnx", "sha256": "1" * 64},
        made_with={"unetrt": "0.1.0"},
        inputs=(TensorSpec("image", "float32", ("batch", "height", "width", 1)),),
        outputs=(TensorSpec("probabilities", "float32", ("batch", "height", "width", 2)),),
        precision="fp16",
        backend="tensorrt-rtx",
        backend_version="1.7.1",
        target=EngineTarget(gpu=Gpu("NVIDIA L4", "8.9", "13.0"), compute_capabilities=("8.9",)),
        profiles={"image": ShapeProfile(*[(1, 64, 64, 1)] * 3)},
        receipt=Receipt(
            convolution_share={"fp16": 1.0},
            shape=(1, 64, 64, 1),
            inspection=Inspection(3, 1, {"fp16": 2}, ("image", "probabilities")),
        ),
        refittable=True,
        architecture="0" * 64,
        warnings=("a warning",),
        receptive_field=ReceptiveField((3, 4), (5, 6), (16, 16)),
        bytes_per_pixel=96.0,
    )


def test_a_write_that_fails_leaves_the_old_pair(engine):
    def fail(temporary):
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Engine.write(engine.path, fail)
    assert Engine.load(engine.path) == engine
    assert sorted(p.name for p in engine.path.parent.iterdir()) == ["m.engine", "m.engine.json"]


def test_what_is_saved_loads_back_equal(engine):
    assert Engine.load(engine.path) == engine


def test_a_truncated_file_is_refused(engine):
    engine.path.write_bytes(b"an eng")
    with pytest.raises(ArtifactError, match="not the file its sidecar describes.*make it again"):
        Engine.load(engine.path)


def test_a_missing_file_or_sidecar_is_refused(engine, tmp_path):
    with pytest.raises(ArtifactError, match="There is no file"):
        Engine.load(tmp_path / "other.engine")
    sidecar_of(engine.path).unlink()
    with pytest.raises(ArtifactError, match=r"has no sidecar: expected m\.engine\.json"):
        Engine.load(engine.path)


def test_a_sidecar_of_another_kind_or_format_is_refused(engine):
    with pytest.raises(ArtifactError, match="got kind 'engine', format 7, expected kind 'onnx'"):
        OnnxModel.load(engine.path)
    fields = json.loads(sidecar_of(engine.path).read_text())
    sidecar_of(engine.path).write_text(json.dumps(fields | {"format": 99}))
    with pytest.raises(ArtifactError, match="format 99.*another version of unetrt wrote it: make"):
        Engine.load(engine.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "engine", "format": 1}'])
def test_a_damaged_sidecar_is_refused(engine, text):
    sidecar_of(engine.path).write_text(text)
    with pytest.raises(ArtifactError, match=r"m\.engine\.json"):
        Engine.load(engine.path)


def test_a_keras_file_from_elsewhere_needs_no_sidecar(tmp_path):
    path = tmp_path / "theirs.keras"
    path.write_bytes(b"x")
    assert KerasFile.load(path).classes == ()

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from unetrt.artifacts import OnnxModel, sidecar_of
from unetrt.errors import ArtifactError, BadInput, NoDevice, ShapeError
from unetrt.gpu import find_gpu
from unetrt.runtime import ImagePort, SessionSpec, open_session

pytestmark = pytest.mark.tf


@pytest.fixture(params=["onnxruntime", "openvino"])
def session(request, road):
    pytest.importorskip(request.param)
    with open_session(road / "model.fp32.onnx", SessionSpec(backend=request.param)) as opened:
        yield opened


def image(height, width, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 255, (height, width, 1)).astype(dtype)


def test_run_gives_probabilities(session):
    y = session.run(image(8, 12)[np.newaxis].astype(np.float32))
    assert (y.shape, y.dtype) == ((1, 8, 12, 2), np.float32)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)


def test_a_result_is_not_overwritten_by_the_next_run(session):
    first = session.run(np.zeros((1, 8, 8, 1), np.float32))
    kept = first.copy()
    session.run(np.full((1, 8, 8, 1), 255, np.float32))
    np.testing.assert_array_equal(first, kept)


def test_eight_threads_get_what_one_gets(session):
    """Of several sizes at once, so that no thread may run in what another has set up."""
    sides = [8 + 4 * (k % 5) for k in range(40)]
    inputs = [image(side, 2 * side)[np.newaxis].astype(np.float32) for side in sides]
    alone = [session.run(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for mine, theirs in zip(alone, pool.map(session.run, inputs), strict=True):
            np.testing.assert_array_equal(theirs, mine)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (64, 64), (50, 61)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_segment_takes_any_size_and_number_type(session, height, width, dtype):
    label = session.segment(image(height, width, dtype))
    assert (label.shape, label.dtype) == ((height, width), np.uint8)
    assert label.max() <= 1


def test_segment_finds_the_disc(road, discs):
    with open_session(road / "model.fp32.onnx") as session:
        sample = discs.test[0]
        agree = session.segment(sample.image) == sample.label
        assert agree.mean() > 0.8


def test_info_names_backend_version_device_and_precision(session):
    assert session.info["device"] in ("CPU", "CUDA")
    assert session.info["precision"] == "fp32"
    assert session.info["backend"] in ("onnxruntime", "openvino")
    assert session.inputs[0].name == "image"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((1, 8, 8, 3), np.float32), r"got float32\[1, 8, 8, 3\], expected float32\[batch"),
        (np.zeros((8, 8, 1), np.float32), r"got float32\[8, 8, 1\]"),
        (np.zeros((1, 8, 8, 1), np.uint8), r"got uint8\[1, 8, 8, 1\]"),
        (np.zeros((1, 8, 8, 1), ">f4"), r"got >f4\[1, 8, 8, 1\]"),
        (
            np.zeros((1, 8, 9, 1), np.float32),
            "got 8 x 9, expected sides that are each a multiple of 4",
        ),
    ],
)
def test_a_wrong_input_is_refused_and_the_session_stays_usable(session, x, words):
    good = np.zeros((1, 8, 8, 1), np.float32)
    session.run(good)
    with pytest.raises(ShapeError, match=words):
        session.run(x)
    assert session.run(good).shape == (1, 8, 8, 2)


def test_a_closed_session_says_so(road):
    session = open_session(road / "model.fp32.onnx")
    x = np.zeros((1, 8, 8, 1), np.float32)
    session.run(x)
    session.close()
    session.close()
    with pytest.raises(BadInput, match="The session is closed"):
        session.run(x)


def test_an_altered_file_is_refused(road, tmp_path):
    for path in (road / "model.fp32.onnx", sidecar_of(road / "model.fp32.onnx")):
        shutil.copy(path, tmp_path)
    with (tmp_path / "model.fp32.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match="not the file its sidecar describes"):
        open_session(tmp_path / "model.fp32.onnx")


def test_a_file_of_another_kind_is_refused(tmp_path, road):
    with pytest.raises(ArtifactError, match=r"expected a name ending in \.onnx or \.engine"):
        open_session(tmp_path / "model.pth")
    with pytest.raises(BadInput, match="'tensorrt' cannot run .*expected auto or onnxruntime"):
        open_session(road / "model.fp32.onnx", SessionSpec(backend="tensorrt"))


def test_onnx_that_the_library_cannot_read_is_an_artifact_error(tmp_path, road):
    import dataclasses

    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x00" * 100)
    broken = dataclasses.replace(OnnxModel.load(road / "model.fp32.onnx"), path=path)
    with pytest.raises(ArtifactError, match=r"ONNX Runtime cannot open .*broken\.onnx"):
        open_session(broken)


@pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU")
def test_an_engine_without_a_gpu_says_where_it_can_run(road):
    with pytest.raises(NoDevice, match="got no NVIDIA GPU with a driver.*copy the engine"):
        open_session(road / "model.fp32.engine")


@pytest.mark.gpu
@pytest.mark.skipif(find_gpu() is None, reason="needs an NVIDIA GPU")
def test_an_engine_agrees_with_onnx_runtime(road):
    x = image(64, 64)[np.newaxis].astype(np.float32)
    with (
        open_session(road / "model.fp32.onnx") as onnx,
        open_session(road / "model.fp32.engine") as engine,
    ):
        np.testing.assert_allclose(engine.run(x), onnx.run(x), atol=1e-3)


@pytest.fixture(scope="module")
def edges(road, tmp_path_factory):
    """The road's model with bytes in, probabilities and labels out, channels first."""
    from unetrt import vendor

    vendor.keras()
    from unetrt.convert.export import ExportSpec
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import load_model

    model, file = load_model(road / "model.keras")
    spec = ExportSpec(layout="NCHW", pixels="uint8", outputs="both")
    path = tmp_path_factory.mktemp("edges") / "m.onnx"
    return export_onnx(model, path, spec, origin=file).path


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_several_outputs_come_by_name(road, edges, backend):
    x = image(32, 48)[np.newaxis]
    with (
        open_session(edges, SessionSpec(backend=backend)) as session,
        open_session(road / "model.fp32.onnx") as plain,
    ):
        answers = session.run({"image": x.transpose(0, 3, 1, 2)})
        expected = plain.run(x.astype(np.float32))
    assert list(answers) == ["probabilities", "labels"]
    np.testing.assert_allclose(answers["probabilities"].transpose(0, 2, 3, 1), expected, atol=1e-5)
    np.testing.assert_array_equal(answers["labels"], expected.argmax(axis=-1))


def test_segment_knows_bytes_channels_first_and_labels(road, edges):
    with open_session(edges) as session, open_session(road / "model.fp32.onnx") as plain:
        np.testing.assert_array_equal(session.segment(image(33, 50)), plain.segment(image(33, 50)))
        with pytest.raises(ShapeError, match=r"cannot hold these pixels: got float64.*fit uint8"):
            session.segment(image(8, 8).astype(np.float64) + 0.5)


def test_an_array_does_not_do_where_there_are_several_outputs(edges):
    with open_session(edges) as session:
        with pytest.raises(BadInput, match="expected inputs by name: image"):
            session.run(np.zeros((1, 1, 8, 8), np.uint8))
        with pytest.raises(BadInput, match="takes other inputs: got picture, expected image"):
            session.run({"picture": np.zeros((1, 1, 8, 8), np.uint8)})
        with pytest.raises(ShapeError, match="got 8 x 9, expected sides"):
            session.run({"image": np.zeros((1, 1, 8, 9), np.uint8)})


def test_probabilities_are_compared_where_there_are_labels_too(edges):
    model = OnnxModel.load(edges)
    assert ImagePort(model).output.name == "labels"
    assert ImagePort(model, prefer="probabilities").output.name == "probabilities"

"""A network's normalisation of each file's pixels travels with every file that is made of it."""

import json

import numpy as np
import onnx
import pytest

import unetrt
from tests.convert.graphs import make, save
from unetrt.artifacts import Engine, KerasFile, OnnxModel
from unetrt.convert.calibration import feeds_of
from unetrt.convert.precision import simulate_bfloat16
from unetrt.data import Dataset, Sample
from unetrt.errors import ArtifactError, BadInput, DataError
from unetrt.normalization import Normalization

pytestmark = pytest.mark.tf

OTHER = Normalization(percentiles=(2, 98), limit=5)


def test_it_travels_from_keras_to_onnx_to_every_precision_and_to_engines(
    normalizing, tmp_path, discs
):
    given = KerasFile.load(normalizing / "model.keras").normalization
    assert given == Normalization()
    fp32 = unetrt.export(normalizing / "model.keras", tmp_path / "m.onnx")
    made = [fp32, OnnxModel.load(normalizing / "model.fp16.onnx")]
    for precision in ("bf16", "int8"):
        spec = unetrt.PrecisionSpec(precision=precision)
        made.append(unetrt.to_precision(fp32, tmp_path / f"{precision}.onnx", spec, data=discs))
    made.append(simulate_bfloat16(made[2], tmp_path / "simulated.onnx"))
    direct = unetrt.PrecisionSpec(precision="fp16")
    made.append(unetrt.export(normalizing / "model.keras", tmp_path / "h.onnx", precision=direct))
    for model in made:
        assert OnnxModel.load(model.path).normalization == given, model.path.name
        assert model.inputs[0].dtype == "float32"
    assert Engine.load(normalizing / "model.fp16.engine").normalization == given


def test_the_file_itself_says_it(normalizing, road):
    def said(path):
        return {p.key: p.value for p in onnx.load(path).metadata_props}

    of_files = json.loads(said(normalizing / "model.fp16.onnx")["unetrt.file_normalization"])
    assert Normalization.from_json(of_files) == Normalization()
    assert "unetrt.file_normalization" not in said(road / "model.fp32.onnx")


@pytest.mark.parametrize("pixels", ["uint8", "uint16"])
def test_whole_numbers_are_refused_and_no_file_is_left(normalizing, tmp_path, pixels):
    spec = unetrt.ExportSpec(pixels=pixels)
    with pytest.raises(BadInput, match=f"each file's own: got {pixels} pixels, expected float32"):
        unetrt.export(normalizing / "model.keras", tmp_path / "m.onnx", spec)
    assert list(tmp_path.iterdir()) == []


def test_a_keras_model_of_whole_numbers_is_refused(keras, tmp_path):
    from unetrt.keras_models import save_model

    image = keras.Input((None, None, 1), dtype="uint8")
    x = keras.ops.cast(image, "float32")
    model = keras.Model(image, keras.layers.Conv2D(2, 1, activation="softmax")(x))
    path = tmp_path / "m.keras"
    save_model(model, path, classes=("a", "b"), source={}, made_with={}, normalization=OTHER)
    with pytest.raises(BadInput, match="got uint8 pixels, expected float32"):
        unetrt.export(path, tmp_path / "m.onnx")


def test_the_golden_sample_has_a_few_deviations(normalizing):
    model = OnnxModel.load(normalizing / "model.fp16.onnx")
    pixels = model.golden.feed(model.inputs[0].name, "float32")
    assert 2 < pixels.max() <= 4
    with unetrt.open_session(model) as session:
        assert session.self_test().max_abs_diff < 0.01


def identity(path, **fields):
    shape = ("batch", "height", "width", 1)
    nodes = [make("Identity", ["image"], ["y"])]
    form = {"image": ("float32", shape)}, {"y": shape}
    return save(path, nodes, *form, layout="NHWC", **fields)


def test_calibration_sees_images_normalised_file_by_file(tmp_path):
    model = identity(tmp_path / "m.onnx", normalization=Normalization(percentiles=(0, 100)))
    random = np.random.default_rng(0)

    def page(volume, number, scale):
        image = scale * (random.normal(number, 1, (16, 16, 1)) + 7).astype(np.float32)
        label = np.full((16, 16), number, np.uint8)
        return Sample(f"{volume}{number}", image, label, group=volume)

    pages = [page("a", k, 1) for k in range(2)] + [page("b", k, 1000) for k in range(2)]
    data = Dataset("volumes", ("none", "one"), tuple(pages), tuple(pages), tuple(pages))
    seen = [feed["image"] for feed in feeds_of(model, data, 8)]
    for volume in (seen[:2], seen[2:]):
        assert np.mean(volume) == pytest.approx(0, abs=1e-6)
        assert np.std(volume) == pytest.approx(1, abs=1e-6)
        assert volume[1].mean() > volume[0].mean() + 0.5  # the slices keep what parts them
    # Of the whole file's pixels, though only a slice of it is drawn.
    assert np.array_equal(feeds_of(model, data, 2)[1]["image"], seen[2])
    alone = feeds_of(model, [pages[3].image], 1)[0]["image"]
    assert alone.mean() == pytest.approx(0, abs=1e-6)
    ready = {"image": np.full((1, 8, 8, 1), 3, np.float32)}
    assert feeds_of(model, [ready], 1) == [ready]


def test_calibration_names_an_image_that_holds_no_numbers(tmp_path):
    model = identity(tmp_path / "m.onnx", normalization=OTHER)
    with pytest.raises(DataError, match="Cannot normalise these pixels: got NaN or infinite ones"):
        feeds_of(model, [np.full((8, 8, 1), np.nan, np.float32)], 1)


def test_without_one_calibration_sees_pixels_as_stored(tmp_path, discs):
    feeds = feeds_of(identity(tmp_path / "m.onnx"), discs, 1)
    assert np.array_equal(feeds[0]["image"][0], discs.train[0].image)


def test_another_normalisation_is_not_lost_on_the_way(tmp_path):
    path = tmp_path / "m.onnx"
    OnnxModel.write(path, lambda at: at.write_bytes(b"a graph"), normalization=OTHER)
    assert OnnxModel.load(path).normalization == OTHER
    told = json.loads(path.with_name("m.onnx.json").read_text())
    told["normalization"]["percentiles"] = [98, 2]
    path.with_name("m.onnx.json").write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match="expected percentiles that rise from 0 to 100"):
        OnnxModel.load(path)

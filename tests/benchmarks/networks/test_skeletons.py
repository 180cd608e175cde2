import json

import numpy as np
import onnx
import pytest

from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.networks import skeletons as skeleton
from unetrt.benchmarks.networks.skeletons import ABOUT, FOLDER, fill_skeleton, skeletons
from unetrt.errors import ArtifactError, BadInput, ShapeError

NETWORKS = ("article", "paper", "small")
PRECISIONS = ("bf16", "fp16", "fp32", "int8")


def run(path, image):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path).run(None, {"image": image})[0]


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)


def initializers(path):
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_every_network_is_there_in_every_precision_and_small():
    assert skeletons() == dict.fromkeys(NETWORKS, PRECISIONS)
    assert all(file.stat().st_size < 40_000 for file in FOLDER.iterdir())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_skeleton_is_a_valid_graph_that_holds_no_weight(name, precision):
    file = FOLDER / f"{name}.{precision}.onnx"
    onnx.checker.check_model(file, full_check=True)
    graph = onnx.load(file).graph
    assert graph.input[0].name == "image"
    assert all(len(t.dims) < 4 for t in graph.initializer)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_filled_one_is_an_artifact_of_the_size_and_classes_asked_for(tmp_path, precision):
    made = fill_skeleton(
        "small", tmp_path / "m.onnx", precision=precision, height=64, channels=3, n_classes=5
    )
    assert OnnxModel.load(made.path) == made
    onnx.checker.check_model(made.path, full_check=True)
    assert made.precision == precision
    assert made.inputs[0].shape == ("batch", 64, "width", 3)
    assert made.outputs[0].shape == ("batch", 64, "width", 5)
    assert len(made.classes) == 5
    assert made.receptive_field.is_bounded
    assert made.bytes_per_pixel > 0
    if precision != "bf16":  # ONNX Runtime has none on a CPU
        assert run(made.path, pixels(2, 64, 96, 3)).shape == (2, 64, 96, 5)


def test_the_paper_s_predicts_the_inner_pixels(tmp_path):
    made = fill_skeleton("paper", tmp_path / "m.onnx", height=188, width=204)
    assert made.outputs[0].shape == ("batch", 4, 20, 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_float16_agrees_with_float32(tmp_path, name):
    side = 188 if name == "paper" else 64
    outputs = {}
    for precision in ("fp32", "fp16"):
        made = fill_skeleton(name, tmp_path / f"{precision}.onnx", precision=precision, seed=1)
        outputs[precision] = run(made.path, pixels(1, side, side, 1))
    assert np.isfinite(outputs["fp16"]).all()
    assert np.abs(outputs["fp16"] - outputs["fp32"]).max() < 0.02
    # An output that is the same everywhere would agree with anything.
    assert np.ptp(outputs["fp32"][..., 0]) > 0.2


def test_a_seed_gives_the_same_weights_in_every_precision(tmp_path):
    held = {}
    for precision in ("fp32", "fp16", "int8"):
        made = fill_skeleton("small", tmp_path / f"{precision}.onnx", precision=precision, seed=7)
        held[precision] = initializers(made.path)
    kernel = held["fp32"]["down2/conv1/kernel"]
    assert (held["fp16"]["down2/conv1/kernel/fp16"] == kernel.astype(np.float16)).all()
    steps = held["int8"]["down2/conv1/kernel/int8"].astype(np.float32)
    scale = held["int8"]["down2/conv1/kernel/scale"]
    assert np.abs(steps * scale[:, None, None, None] - kernel).max() <= scale.max() / 1.99
    assert np.abs(steps).max(axis=(1, 2, 3)).min() == 127


def test_another_seed_gives_others_and_the_same_one_the_same_file(tmp_path):
    files = [fill_skeleton("small", tmp_path / f"{k}.onnx", seed=k // 2) for k in range(4)]
    assert files[0].sha256 == files[1].sha256 != files[2].sha256 == files[3].sha256


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "vnet"}, "There is no such network: got 'vnet', expected article or"),
        ({"precision": "fp8"}, "no skeleton of the network small in this precision: got 'fp8'"),
        ({"channels": 0}, "got 0 channels and 2 classes"),
        ({"n_classes": 1}, "got 1 channels and 1 classes"),
    ],
)
def test_what_there_is_not_is_refused(tmp_path, given, words):
    with pytest.raises(BadInput, match=words):
        fill_skeleton(**{"name": "small", "path": tmp_path / "m.onnx", **given})
    assert not list(tmp_path.iterdir())


def test_a_side_that_cannot_be_halved_is_refused(tmp_path):
    with pytest.raises(ShapeError, match="cannot halve this width: got 100, .* 96 and 128"):
        fill_skeleton("article", tmp_path / "m.onnx", height=64, width=100)


@pytest.mark.parametrize("damage", ["cut short", "no word of itself", "another input"])
def test_a_damaged_skeleton_is_refused(tmp_path, monkeypatch, damage):
    model = onnx.load(FOLDER / "small.fp32.onnx")
    if damage == "no word of itself":
        del model.metadata_props[:]
    if damage == "another input":
        model.graph.input.append(onnx.helper.make_tensor_value_info("x", 1, [3]))
    content = model.SerializeToString()
    (tmp_path / "small.fp32.onnx").write_bytes(content[: -9 if damage == "cut short" else None])
    monkeypatch.setattr(skeleton, "FOLDER", tmp_path)
    with pytest.raises(ArtifactError, match="The skeleton wants other|Cannot read the skeleton"):
        fill_skeleton("small", tmp_path / "m.onnx")


def fresh(name, folder):
    """Return the network's export, and what the job makes of it in each precision."""
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    vendor.keras()
    from scripts import write_skeletons as job
    from unetrt.builder import build_unet
    from unetrt.convert.to_onnx import export_onnx

    spec, pixel_scale = job.NETWORKS[name]
    model = build_unet(spec)
    exported = export_onnx(model, folder / f"{name}.onnx")
    return model, exported, job, pixel_scale


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_skeleton_equals_its_keras_export(tmp_path, name):
    model, exported, job, pixel_scale = fresh(name, tmp_path)
    job.strip(exported, tmp_path / "fresh.onnx", pixel_scale)
    stored, fresh_one = (
        onnx.load(file) for file in (FOLDER / f"{name}.fp32.onnx", tmp_path / "fresh.onnx")
    )
    # Nodes, their names and attributes, every weight's name, type and shape, ends and constants.
    assert stored.graph == fresh_one.graph
    assert stored.opset_import == fresh_one.opset_import
    about = [json.loads(m.metadata_props[0].value) for m in (stored, fresh_one)]
    assert stored.metadata_props[0].key == ABOUT
    assert about[0].keys() == about[1].keys()
    for key in about[0].keys() - {"made_with"}:
        assert about[0][key] == about[1][key]

    weights = {t.name: t for t in onnx.load(exported.path).graph.initializer}
    wanted = [value.name for value in stored.graph.input[1:]]
    del stored.graph.input[1:]
    stored.graph.initializer.extend(weights[name] for name in wanted)
    onnx.save(stored, tmp_path / "filled.onnx")
    # Small pixels make small logits: fresh weights turn pixels of 255 into logits of 80 and more,
    # whose last bit alone moves a probability by 1e-5.
    image = pixels(1, *(exported.sizes.at_least(64),) * 2, 1) / np.float32(255)
    expected = np.asarray(model(image, training=False))
    assert np.abs(run(tmp_path / "filled.onnx", image) - expected).max() < 1e-4
    assert (run(tmp_path / "filled.onnx", image) == run(exported.path, image)).all()


@pytest.mark.tf
def test_other_precisions_equal_what_convert_makes_of_the_export(tmp_path):
    _, exported, job, pixel_scale = fresh("small", tmp_path)
    seen = []
    for model in job.retyped("small", tmp_path, exported):
        job.strip(model, tmp_path / "fresh.onnx", pixel_scale)
        stored, made = (
            onnx.load(file).graph
            for file in (FOLDER / f"small.{model.precision}.onnx", tmp_path / "fresh.onnx")
        )
        held = [
            {t.name: onnx.numpy_helper.to_array(t) for t in g.initializer} for g in (stored, made)
        ]
        for graph in (stored, made):
            del graph.initializer[:]
        assert stored == made
        assert held[0].keys() == held[1].keys()
        for name, value in held[0].items():  # int8's ranges are measured
            assert np.allclose(value, held[1][name], rtol=0.02)
        seen.append(model.precision)
    assert sorted(seen) == sorted(PRECISIONS)

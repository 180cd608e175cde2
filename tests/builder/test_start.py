"""Trainings that start from a model of one's own, and layers that stay as they are."""

from dataclasses import replace

import numpy as np
import pytest

import unetrt
from unetrt.builder.train_spec import TrainSpec
from unetrt.errors import ArtifactError, BadInput, UnsupportedModel
from unetrt.normalization import Normalization

pytestmark = pytest.mark.tf

QUICK = {"epochs": 1, "crop": 32, "batch": 4}


@pytest.fixture
def theirs(keras):
    """A segmentation network that we did not build: plain layers, in one model and a nested one."""
    layers = keras.layers

    def make(n_classes=2):
        keras.utils.set_random_seed(0)
        image = keras.Input((None, None, 1))
        inner = keras.Input((None, None, 4))
        encoded = layers.BatchNormalization(name="norm")(
            layers.Conv2D(4, 3, padding="same", name="conv")(inner)
        )
        encoder = keras.Model(inner, encoded, name="encoder")
        x = layers.Conv2D(4, 1, name="stem")(layers.Rescaling(1 / 255)(image))
        x = layers.ReLU()(encoder(x))
        return keras.Model(image, layers.Conv2D(n_classes, 1, activation="softmax", name="head")(x))

    return make


@pytest.fixture
def own(theirs, tmp_path):
    """A file of it, from elsewhere: without a sidecar."""
    path = tmp_path / "own.keras"
    theirs().save(path)
    return path


def frozen_in(model, within=""):
    """The paths of the layers with weights that do not train."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from frozen_in(layer, f"{within}{layer.name}/")
        elif layer.weights and not layer.trainable_variables:
            yield within + layer.name


def weights_of(model):
    return {weight.path: np.asarray(weight) for weight in model.weights}


def test_frozen_layers_and_their_statistics_stay_and_the_others_train(
    keras, discs, theirs, own, tmp_path
):
    plan = unetrt.plan(discs, start=own, freeze=("encoder",), **QUICK)
    assert ("network", "own.keras", "as asked") in plan.reasons
    result = unetrt.train(discs, tmp_path / "run", plan)
    before, after = weights_of(theirs()), weights_of(result.model)
    moved = {path for path in before if (before[path] != after[path]).any()}
    assert moved == {"stem/kernel", "stem/bias", "head/kernel", "head/bias"}
    assert any(path.endswith("moving_mean") for path in before)


def test_without_a_pattern_every_layer_trains_even_one_that_the_file_marks_as_frozen(
    keras, discs, theirs, tmp_path
):
    model = theirs()
    model.trainable = False
    model.save(tmp_path / "own.keras")
    plan = unetrt.plan(discs, start=tmp_path / "own.keras", **QUICK)
    after = weights_of(unetrt.train(discs, tmp_path / "run", plan).model)
    assert all((value != after[path]).any() for path, value in weights_of(model).items())


@pytest.mark.parametrize(
    ("patterns", "stay"),
    [
        (("down*",), {"down1/conv1", "down1/norm1", "down1/conv2", "down1/norm2",
                      "down2/conv1", "down2/norm1", "down2/conv2", "down2/norm2"}),
        (("down2/conv*", "logits"), {"down2/conv1", "down2/conv2", "logits"}),
        (("down?/norm1", "up1/norm2"), {"down1/norm1", "down2/norm1", "up1/norm2"}),
    ],
)  # fmt: skip
def test_a_pattern_is_of_the_path_through_nested_models(keras, patterns, stay):
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.builder.training_model import freeze_layers

    small = {"filters": (2, 4), "bottleneck": 4, "normalization": "batch"}
    model = build_unet(UNetSpec(shape=(None, None, 1), n_classes=2, **small))
    freeze_layers(model, patterns)
    assert set(frozen_in(model)) == stay


def test_frozen_batch_statistics_are_used_as_they_are_in_the_fused_kernel_too(keras, theirs):
    from unetrt.builder.training_model import freeze_layers, fused_normalization

    model = theirs()
    freeze_layers(model, ("encoder/norm",))
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 1)).astype(np.float32)
    expected = np.asarray(model(x, training=False))
    with fused_normalization(model):
        np.testing.assert_array_equal(np.asarray(model(x, training=True)), expected)


def test_a_pattern_of_no_layer_names_those_that_there_are(keras, discs, theirs):
    from unetrt.builder.fit import fit

    told = "Cannot freeze 'down.*': got no layer .*expected a pattern of stem, encoder, head"
    with pytest.raises(BadInput, match=told):
        fit(theirs(), discs, TrainSpec(freeze=("down*",), **QUICK))
    with pytest.raises(BadInput, match=r"Nothing is left to train .*frozen by \*"):
        fit(theirs(), discs, TrainSpec(freeze=("*",), **QUICK))


def test_the_sidecar_s_normalisation_is_kept_and_without_a_sidecar_the_plan_s(
    keras, theirs, discs, own, tmp_path
):
    from unetrt.keras_models import save_model

    as_planned = unetrt.plan(discs).normalization
    assert unetrt.plan(discs, start=own).normalization == as_planned
    for known in (Normalization(percentiles=(1, 99)), None):
        path = tmp_path / f"known{known is None}.keras"
        file = save_model(
            theirs(), path, classes=discs.classes, source={}, made_with={}, normalization=known
        )
        assert unetrt.plan(discs, start=file).normalization == known
    plan = replace(unetrt.plan(discs, start=own, **QUICK), normalization=Normalization())
    result = unetrt.train(discs, tmp_path / "run", plan)
    assert result.file.normalization == Normalization()


def test_a_model_of_other_classes_is_refused_in_one_sentence(keras, theirs, discs, tmp_path):
    from unetrt.keras_models import save_model

    def saved(name, classes):
        model = theirs(len(classes))
        return save_model(model, tmp_path / name, classes=classes, source={}, made_with={})

    three = saved("three.keras", ("background", "disc", "ring"))
    told = "got a model of the classes background, disc, ring, expected .*: background, disc"
    with pytest.raises(BadInput, match=told):
        unetrt.plan(discs, start=three)
    with pytest.raises(BadInput, match="classes disc, background"):
        unetrt.plan(discs, start=saved("turned.keras", ("disc", "background")))
    theirs(3).save(tmp_path / "unknown.keras")
    plan = unetrt.plan(discs, start=tmp_path / "unknown.keras", **QUICK)
    with pytest.raises(BadInput, match="got a model of 3 classes, expected 2"):
        unetrt.train(discs, tmp_path / "run", plan)


def test_a_model_and_a_preset_are_one_too_many_and_a_model_must_be_there(discs, own):
    with pytest.raises(BadInput, match="both start from a model and choose a preset"):
        unetrt.plan(discs, start=own, preset="paper")
    with pytest.raises(ArtifactError, match=r"none\.keras"):
        unetrt.plan(discs, start=own.with_name("none.keras"))


def test_a_model_that_changed_after_the_plan_is_refused(discs, theirs, own, tmp_path):
    plan = unetrt.plan(discs, start=own, **QUICK)
    own.write_bytes(b"")
    theirs(3).save(own)
    with pytest.raises(ArtifactError, match="another file than the training was planned with"):
        unetrt.train(discs, tmp_path / "run", plan)


def test_a_model_that_gives_no_probabilities_is_refused(keras, discs, tmp_path):
    image = keras.Input((None, None, 1))
    logits = keras.layers.Conv2D(2, 1, name="logits")
    inner = keras.Sequential([keras.Input((None, None, 1)), logits])
    for number, model in enumerate((inner, keras.Model(image, inner(image)))):
        path = tmp_path / f"{number}.keras"
        model.save(path)
        with pytest.raises(UnsupportedModel, match="'logits' at its end, without an activation"):
            unetrt.train(discs, tmp_path / "run", unetrt.plan(discs, start=path, **QUICK))

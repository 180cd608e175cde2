"""The model in training: on two devices, with fused kernels, with auxiliary heads."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unetrt.errors import BadInput

pytestmark = pytest.mark.tf

PADDED = {"filters": (4, 8, 8), "bottleneck": 8}
UNPADDED = {"filters": (2, 2, 2, 2), "bottleneck": 2, "padding": "valid", "upsampling_kernel": 2}

# A CPU can pretend to be two devices, in a process of its own.
CHILD = """
import json, runpy, sys
from pathlib import Path
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
script, folder, out = sys.argv[1:]
go = runpy.run_path(script)["go"]
import keras

found = {}
for devices in ("one", "all"):
    seen = set()
    real = keras.layers.Conv2D.call

    def noted(self, inputs):
        context = tf.distribute.get_replica_context()
        if context is not None and tf.is_tensor(inputs) and inputs.shape[0] in (2, 4):
            replica = tf.get_static_value(context.replica_id_in_sync_group)
            seen.add((int(replica), inputs.shape[0]))
        return real(self, inputs)

    keras.layers.Conv2D.call = noted
    try:
        result = go(Path(folder), Path(out) / devices, devices=devices, epochs=2, dropout=0.0)
    finally:
        keras.layers.Conv2D.call = real
    found[devices] = {
        "loss": [epoch.loss for epoch in result.history],
        "dice": result.best.val_dice,
        "shares": sorted(seen),
        "weights": float(sum(abs(w).sum() for w in result.model.get_weights())),
    }
odd = {"epochs": 1, "batch": 2, "deep_supervision": 1, "filters": (4, 8)}
again = go(Path(folder), Path(out) / "odd", devices="all", **odd)
found["supervised"] = again.best.val_dice
try:
    go(Path(folder), Path(out) / "refused", devices="all", batch=5)
except Exception as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""


def unet(**fields):
    from unetrt.builder import UNetSpec, build_unet

    spec = UNetSpec(shape=(None, None, 1), n_classes=3, **fields)
    return build_unet(spec), spec


def supervised(fields, count, label_side):
    from unetrt.builder.training_model import with_auxiliary_heads

    model, spec = unet(**fields)
    image_side = spec.sizes.covering(label_side)
    trained, heads = with_auxiliary_heads(
        model,
        count,
        image_size=(image_side, image_side),
        label_size=(label_side, label_side),
        sigmoid=spec.head == "sigmoid",
    )
    return model, trained, heads, image_side


def test_a_padded_network_has_outputs_at_half_and_quarter_scale(keras):
    model, trained, heads, _ = supervised(PADDED, 2, 32)
    assert [tuple(shape[1:]) for shape in trained.compute_output_shape((1, 32, 32, 1))] == [
        (32, 32, 3),
        (16, 16, 3),
        (8, 8, 3),
    ]
    assert [(head.step, head.size) for head in heads] == [(2, (16, 16)), (4, (8, 8))]
    assert len(model.outputs) == 1
    assert len(trained.weights) == len(model.weights) + 4  # a kernel and a bias for each head
    assert {"supervision2", "supervision3"} <= {layer.name for layer in trained.layers}


def test_labels_are_taken_at_the_nearest_pixel(keras):
    _, _, (half, quarter), _ = supervised(PADDED, 2, 32)
    labels = np.arange(32)[np.newaxis, :, np.newaxis] * np.ones((1, 1, 32), int)
    assert half.downsampled(labels).shape == (1, 16, 16)
    assert half.downsampled(labels)[0, :3, 0].tolist() == [1, 3, 5]
    assert quarter.downsampled(labels)[0, :3, 0].tolist() == [2, 6, 10]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_unpadded_network_is_judged_only_where_there_are_labels(keras, count):
    _, trained, heads, image_side = supervised(UNPADDED, count, 388)
    assert image_side == 572
    shapes = trained.compute_output_shape((1, 572, 572, 1))
    assert shapes[0][1:3] == (388, 388)
    for shape, head in zip(shapes[1:], heads, strict=True):
        assert shape[1:3] == head.size
        offset, side = head.offset[0], head.size[0]
        first, last = offset - head.step / 2, offset + head.step * (side - 0.5)
        assert 0 <= first < head.step
        assert first == 388 - last  # as far from one edge as from the other
    assert heads[0].size == (194, 194)


def test_the_heads_of_an_oblong_crop_are_oblong(keras):
    from unetrt.builder.training_model import with_auxiliary_heads

    model, _ = unet(**PADDED)
    trained, (half,) = with_auxiliary_heads(
        model, 1, image_size=(32, 48), label_size=(32, 48), sigmoid=False
    )
    assert trained.compute_output_shape((1, 32, 48, 1))[1][1:3] == half.size == (16, 24)
    assert half.downsampled(np.zeros((1, 32, 48))).shape == (1, 16, 24)


def test_a_sigmoid_head_has_sigmoid_helpers(keras):
    _, trained, _, _ = supervised({**PADDED, "head": "sigmoid"}, 1, 32)
    outputs = trained.predict_on_batch(np.zeros((1, 32, 32, 1), np.float32))
    assert outputs[1].sum(axis=-1).max() > 1.01


def test_each_head_weighs_half_of_the_one_above(keras):
    from unetrt.builder.training_model import loss_weights

    assert loss_weights(0) == [1]
    assert loss_weights(2) == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_no_heads_leave_the_model_as_it_is(keras):
    model, trained, heads, _ = supervised(PADDED, 0, 32)
    assert heads == ()
    assert trained.output_shape == model.output_shape


def test_a_model_without_such_blocks_is_refused(keras):
    from unetrt.builder.training_model import with_auxiliary_heads

    with pytest.raises(BadInput, match=r"got a model with up3, up2, up1, expected a block .* up4"):
        with_auxiliary_heads(
            unet(**PADDED)[0], 3, image_size=(32, 32), label_size=(32, 32), sigmoid=False
        )
    plain = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(BadInput, match="no block named up1, up2"):
        with_auxiliary_heads(plain, 1, image_size=(32, 32), label_size=(32, 32), sigmoid=False)


def test_a_block_of_another_scale_is_refused(keras):
    from unetrt.builder.training_model import with_auxiliary_heads

    x = keras.Input((None, None, 1))
    y = keras.layers.Conv2D(2, 1, name="up2")(x)
    model = keras.Model(x, keras.layers.Softmax()(y), name="flat")
    with pytest.raises(BadInput, match="one pixel for 2"):
        with_auxiliary_heads(model, 1, image_size=(32, 32), label_size=(32, 32), sigmoid=False)


def trained(keras, layer, *, steps, fused):
    from contextlib import nullcontext

    from unetrt.builder.training_model import fused_normalization

    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    inputs = keras.Input((6, 5, 3))
    inner = keras.Model(inputs, layer(inputs))
    outside = keras.Input((6, 5, 3))
    model = keras.Model(outside, keras.layers.Conv2D(2, 3)(inner(outside)))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    with fused_normalization(model) if fused else nullcontext():
        for _ in range(steps):
            x = random.normal(3, 2, (4, 6, 5, 3)).astype(np.float32)
            model.train_on_batch(x, random.random((4, 4, 3, 2)).astype(np.float32))
    return model


def test_weights_and_statistics_are_those_of_keras(keras):
    """After some steps: kernels, gamma, beta, and both moving statistics."""
    own, fused = (
        trained(keras, keras.layers.BatchNormalization(momentum=0.9), steps=5, fused=fused)
        for fused in (False, True)
    )
    for mine, theirs in zip(fused.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_kernel_is_used_and_then_no_longer(keras):
    """The traced step holds it; afterwards every layer is Keras' own again, and is saved so."""
    import tensorflow as tf

    from unetrt.builder.training_model import fused_normalization

    layer = keras.layers.BatchNormalization()
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layer(inputs))

    def kernels():
        step = tf.function(lambda x: model(x, training=True), autograph=False)
        graph = step.get_concrete_function(tf.TensorSpec((1, 4, 4, 2))).graph
        return [op.type for op in graph.get_operations() if "FusedBatchNorm" in op.type]

    with fused_normalization(model):
        assert kernels() == ["FusedBatchNormV3"]
    assert kernels() == []
    assert "call" not in vars(layer)


@pytest.mark.parametrize("options", [{"scale": False}, {"axis": 1}, {"renorm": True}])
def test_what_the_kernel_cannot_do_is_left_to_keras(keras, options):
    """Training continues as it would."""
    own, fused = (
        trained(keras, keras.layers.BatchNormalization(**options), steps=2, fused=fused)
        for fused in (False, True)
    )
    for mine, theirs in zip(fused.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_frozen_layers_keep_their_statistics(keras):
    """As in Keras, a layer that is not trainable normalises by what it has seen before."""
    frozen = keras.layers.BatchNormalization(trainable=False)
    model = trained(keras, frozen, steps=2, fused=True)
    np.testing.assert_array_equal(model.layers[1].get_weights()[2], np.zeros(3))


@pytest.mark.slow
def test_two_devices_share_each_batch_and_learn_what_one_does(keras, disc_folder, tmp_path):
    script = Path(__file__).with_name("interrupted.py")
    command = [sys.executable, "-c", CHILD, str(script), str(disc_folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    one, both = found["one"], found["all"]
    assert one["shares"] == [[0, 4]]
    assert both["shares"] == [[0, 2], [1, 2]]
    # The Dice loss is of each share and so is batch normalisation; the rest is the same.
    assert both["loss"] == pytest.approx(one["loss"], rel=0.2)
    assert both["dice"] == pytest.approx(one["dice"], abs=0.05)
    assert found["supervised"] > 0.5
    assert "2 devices: got batch 5, expected 4 or 6" in found["refused"]
    assert (tmp_path / "all" / "model.keras").exists()


def test_one_device_needs_no_strategy(keras):
    from unetrt.builder import TrainSpec
    from unetrt.builder.training_model import strategy_for

    assert strategy_for(TrainSpec(devices="one")) is None
    assert strategy_for(TrainSpec(devices="all", batch=7)) is None  # there is one CPU here


def test_the_batch_must_divide_and_the_error_says_what_does(keras, monkeypatch):
    import tensorflow as tf

    from unetrt.builder import TrainSpec
    from unetrt.builder.training_model import strategy_for

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _kind: ["a", "b", "c"])
    with pytest.raises(BadInput, match="among 3 devices: got batch 8, expected 6 or 9"):
        strategy_for(TrainSpec(devices="all", batch=8))
    with pytest.raises(BadInput, match="got batch 2, expected 3"):
        strategy_for(TrainSpec(devices="all", batch=2))

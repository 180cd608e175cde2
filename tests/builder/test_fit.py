import itertools
import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from unetrt.builder.spec import UNetSpec
from unetrt.builder.train_spec import TrainSpec
from unetrt.data import Dataset, Sample
from unetrt.errors import BadInput, DataError, UnsupportedModel

pytestmark = pytest.mark.tf

TINY = {"shape": (None, None, 1), "filters": (4,), "bottleneck": 8, "normalization": "batch"}


def tiny(discs, **fields):
    from unetrt.builder import build_unet

    mean, std = discs.pixel_statistics()
    spec = {"n_classes": 2, "dropout": 0.0, "pixel_mean": mean, "pixel_std": std}
    return build_unet(UNetSpec(**(TINY | spec | fields)))


def trained(keras, discs, *, seed=0, network=None, run=None, **fields):
    """A small training that always begins with the same weights."""
    from unetrt.builder.fit import fit

    keras.utils.set_random_seed(seed)
    own = {"epochs": 1, "crop": 32, "batch": 4, "learning_rate": 0.01, "seed": seed}
    return fit(tiny(discs, **(network or {})), discs, TrainSpec(**(own | fields)), run=run)


def test_training_learns_and_keeps_the_weights_of_its_best_epoch(keras, discs):
    from unetrt.builder.evaluate import evaluate
    from unetrt.builder.fit import fit

    keras.utils.set_random_seed(0)
    seen = []
    result = fit(
        tiny(discs),
        discs,
        TrainSpec(epochs=3, crop=32, batch=4, learning_rate=0.01),
        on_epoch=lambda epoch, best: seen.append((epoch, best)),
    )
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3]
    assert tuple(epoch for epoch, _ in seen) == result.history
    assert seen[result.best.epoch - 1][1]
    assert result.best.val_dice > 0.9
    assert evaluate(result.model, discs.val, discs.classes).dice["disc"] == pytest.approx(
        result.best.val_dice
    )
    assert result.history[-1].learning_rate < 1e-4


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(keras, discs):
    network = {"dropout": 0.2}
    first, second = (trained(keras, discs, seed=3, network=network) for _ in range(2))
    assert first.history[0].loss == second.history[0].loss
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        assert (a == b).all()


def test_minutes_end_the_training(keras, discs, monkeypatch):
    from unetrt.builder import loop

    ticks = itertools.count()  # a clock that advances by a second whenever it is read
    clock = partial(loop.Schedule, now=lambda: next(ticks))
    monkeypatch.setattr("unetrt.builder.fit.Schedule", clock)
    result = trained(keras, discs, epochs=None, minutes=3, batch=2)
    first, *_, last = result.history
    assert first.elapsed_s < 180 / 4
    assert first.remaining_s > 0
    assert last.remaining_s == 0
    assert 180 <= last.elapsed_s < 190


def test_minutes_that_are_over_at_once_still_leave_an_epoch(keras, discs):
    result = trained(keras, discs, epochs=None, minutes=1e-9)
    assert len(result.history) == 1


def test_patience_ends_the_training_after_so_many_epochs_without_a_better_one(
    keras, discs, monkeypatch
):
    from unetrt.builder import loop

    dice = iter([0.5, 0.7, 0.7, 0.6, 0.9])
    monkeypatch.setattr(loop, "evaluate", lambda *_args: SimpleNamespace(dice={"disc": next(dice)}))
    result = trained(keras, discs, epochs=9, patience=2)
    assert [epoch.val_dice for epoch in result.history] == [0.5, 0.7, 0.7, 0.6]
    assert result.best.epoch == 2


def test_averages_are_validated_and_kept_while_training_goes_on_with_raw_weights(keras, discs):
    from unetrt.builder.evaluate import evaluate

    raw = trained(keras, discs, epochs=2)
    averaged = trained(keras, discs, epochs=2, ema=0.9)
    # A saved average that training went on with would change the second epoch's loss.
    assert [e.loss for e in raw.history] == [e.loss for e in averaged.history]
    kernels = [result.model.get_layer("logits").kernel.numpy() for result in (raw, averaged)]
    assert (kernels[0] != kernels[1]).any()
    assert evaluate(averaged.model, discs.val, discs.classes).dice["disc"] == pytest.approx(
        averaged.best.val_dice
    )


def test_deep_supervision_learns_and_leaves_no_heads(keras, discs):
    result = trained(keras, discs, network={"filters": (4, 8)}, deep_supervision=1, epochs=2)
    assert result.best.val_dice > 0.8
    assert len(result.model.outputs) == 1
    assert not [layer.name for layer in result.model.layers if "supervision" in layer.name]


def test_an_unpadded_network_learns_with_its_inner_blocks_judged(keras, discs):
    network = {"padding": "valid", "upsampling_kernel": 2, "filters": (4, 8)}
    result = trained(keras, discs, network=network, deep_supervision=1)
    assert min(result.spec.crop_size) >= 32
    assert result.best.val_dice > 0.5


def test_sgd_has_the_papers_momentum(keras):
    from unetrt.builder.training_model import make_optimizer

    assert float(make_optimizer(TrainSpec.paper()).momentum) == 0.99


def test_a_crop_that_the_network_cannot_take_is_rounded_up_and_said(keras, discs):
    from unetrt.builder.fit import fit

    said = []
    spec = TrainSpec(epochs=1, crop=30, batch=2)
    network = tiny(discs, filters=(4, 8))
    result = fit(network, discs, spec, on_step=said.append)
    assert result.spec.crop_size == (32, 32)
    assert said[0] == "crops of 32 x 32 pixels: the network cannot take 30 x 30"


def test_a_model_of_one_size_is_trained_on_images_of_that_size_alone(keras, discs):
    def cut(height, width):
        parts = (
            tuple(Sample(s.name, s.image[:height, :width], s.label[:height, :width]) for s in part)
            for part in (discs.train, discs.val, discs.test)
        )
        return Dataset("cut", discs.classes, *parts)

    square, oblong = {"shape": (48, 48, 1)}, {"shape": (48, 60, 1)}
    assert trained(keras, cut(48, 48), network=square).spec.crop_size == (48, 48)
    assert trained(keras, cut(48, 60), network=oblong).spec.crop_size == (48, 60)
    with pytest.raises(UnsupportedModel, match=r"'val0': got a model for images of 48 x 48"):
        trained(keras, discs, network=square)


def test_a_class_that_is_not_learnt_is_told_of_while_there_is_time_and_at_the_end(
    keras, discs, monkeypatch
):
    from unetrt.builder import loop
    from unetrt.builder.fit import fit

    nothing = SimpleNamespace(dice={"disc": 0.01})
    monkeypatch.setattr(loop, "evaluate", lambda *_args: nothing)
    said = []
    spec = TrainSpec(epochs=6, crop=32, batch=2)
    fit(tiny(discs), discs, spec, on_warning=said.append)
    assert [line.split(" of the training")[0] for line in said] == [
        "disc: Dice below 0.05 after 33%",
        "disc: Dice below 0.05 after 100%",
    ]


def test_a_model_without_a_size_rule_is_refused(keras, discs):
    from unetrt.builder.fit import fit

    layers = keras.layers
    halving = [layers.Conv2D(2, 1, strides=2), layers.Softmax()]
    model = keras.Sequential([keras.Input((None, None, 1)), *halving])
    with pytest.raises(UnsupportedModel, match="Cannot find a size"):
        fit(model, discs)


def test_a_model_of_other_channels_or_classes_is_refused(keras, discs):
    from unetrt.builder.fit import fit

    with pytest.raises(BadInput, match="a model of 3 channels, expected 1"):
        fit(tiny(discs, shape=(None, None, 3)), discs)
    with pytest.raises(BadInput, match=r"a model of 5 classes, expected 2 \(background, disc\)"):
        fit(tiny(discs, n_classes=5), discs)
    more = Dataset("more", ("background", "disc", "ring"), discs.train, discs.val, discs.test)
    with pytest.raises(BadInput, match=r"a model of 2 classes, expected 3 \(background, disc, r"):
        fit(tiny(discs), more)


def test_a_class_that_no_training_label_shows_is_refused(keras, discs):
    from unetrt.builder.fit import fit

    data = replace(discs, classes=("background", "disc", "ghost"))
    with pytest.raises(
        DataError, match="No training label of 'discs' shows ghost: expected pixels"
    ):
        fit(tiny(discs, n_classes=3), data, TrainSpec(epochs=1))


def test_a_loss_that_is_not_a_number_stops_the_training(keras, discs):
    from unetrt.builder.fit import fit

    model = tiny(discs)
    weights = model.get_weights()
    weights[0][:] = np.nan
    model.set_weights(weights)
    with pytest.raises(DataError, match="Training diverged: got a loss of nan at step 1"):
        fit(model, discs, TrainSpec(epochs=1, crop=32, batch=2))


def test_a_training_that_diverges_later_says_where_the_best_epoch_is(keras, discs, tmp_path):
    from unetrt.builder.fit import fit
    from unetrt.keras_models import load_model

    model = tiny(discs)

    def spoil(_epoch, _best):
        model.get_layer("logits").bias.assign([np.nan, np.nan])

    with pytest.raises(DataError, match="at step 51.*the best epoch is kept in .*model.keras"):
        fit(model, discs, TrainSpec(epochs=2, crop=32, batch=2), run=tmp_path, on_epoch=spoil)
    kept, _ = load_model(tmp_path / "model.keras")
    assert all(np.isfinite(weights).all() for weights in kept.get_weights())


def test_a_step_that_overflows_float16_is_left_out(keras, discs):
    hot = np.full((50, 61, 1), 1e9, np.float32)
    samples = (Sample("hot", hot, discs.train[0].label), *discs.train)
    data = Dataset("hot", discs.classes, samples, discs.val, discs.test)
    network = {"normalization": "none", "dtype_policy": "mixed_float16"}
    network |= {"pixel_mean": 100.0, "pixel_std": 50.0}
    result = trained(keras, data, network=network, batch=1, learning_rate=1e-3)
    assert np.isfinite(result.history[0].loss)
    assert all(np.isfinite(weights).all() for weights in result.model.get_weights())


def test_a_run_leaves_the_best_model_its_curve_and_logs(keras, discs, tmp_path):
    from unetrt.keras_models import load_model

    run = tmp_path / "run"
    result = trained(keras, discs, epochs=2, run=run)
    names = {path.name for path in run.iterdir()}
    assert names == {"model.keras", "model.keras.json", "history.csv", "logs"}
    kept, file = load_model(run / "model.keras")
    for a, b in zip(kept.get_weights(), result.model.get_weights(), strict=True):
        assert (a == b).all()
    assert (
        getattr(kept, "optimizer", None) is None
    )  # its momenta would make the file three times as large
    assert file.made_with["epoch"] == result.best.epoch
    assert file.made_with["spec"]["batch"] == 4
    assert file.classes == discs.classes
    lines = (run / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,val_dice,learning_rate,elapsed_s,remaining_s"
    assert len(lines) == 3
    logged = b"".join(path.read_bytes() for path in (run / "logs").iterdir())
    for name in (b"loss", b"val_dice", b"learning_rate", b"val0"):
        assert name in logged
    assert json.loads((run / "model.keras.json").read_text())["source"]["data"] == "discs"


@pytest.mark.parametrize("fields", [{"minutes": 0}, {"minutes": -1}, {"epochs": 0}])
def test_no_time_is_not_a_training(fields):
    with pytest.raises(BadInput, match="Cannot train"):
        TrainSpec(**fields)

import numpy as np
import pytest

from unetrt.builder.spec import TrainSpec, UNetSpec
from unetrt.errors import BadInput, DataError

pytestmark = pytest.mark.tf

TINY = {"shape": (None, None, 1), "filters": (4, 8), "bottleneck": 8, "normalization": "batch"}


def tiny(discs, **fields):
    from unetrt.builder import build_unet

    mean, std = discs.pixel_statistics()
    spec = {"n_classes": 2, "dropout": 0.0, "pixel_mean": mean, "pixel_std": std}
    return build_unet(UNetSpec(**(TINY | spec | fields)))


def test_training_learns_and_keeps_the_weights_of_its_best_epoch(keras, discs):
    from unetrt.builder import evaluate, train

    keras.utils.set_random_seed(0)
    seen = []
    result = train(
        tiny(discs),
        discs,
        TrainSpec(epochs=3, crop=32, batch=4, learning_rate=0.01),
        on_epoch=lambda epoch, best: seen.append((epoch, best)),
    )
    assert [epoch.epoch for epoch in result.history] == [1, 2, 3]
    assert tuple(epoch for epoch, _ in seen) == result.history
    assert result.best.val_dice > 0.9
    assert evaluate(result.model, discs.val, discs.classes).per_class["disc"] == pytest.approx(
        result.best.val_dice
    )
    assert result.history[-1].learning_rate < 1e-4


def test_the_same_seed_gives_the_same_curve(keras, discs):
    from unetrt.builder import train

    def curve():
        keras.utils.set_random_seed(3)
        spec = TrainSpec(epochs=1, crop=32, batch=2, seed=3)
        return [epoch.loss for epoch in train(tiny(discs), discs, spec).history]

    assert curve() == pytest.approx(curve(), rel=1e-4)


def test_minutes_end_the_training(keras, discs):
    from unetrt.builder import train

    result = train(tiny(discs), discs, TrainSpec(minutes=0.05, crop=32, batch=2))
    assert result.history[-1].remaining_s == 0
    assert result.history[-1].elapsed_s < 60


def test_a_model_of_other_channels_or_classes_is_refused(keras, discs):
    from unetrt.builder import train

    with pytest.raises(BadInput, match="a model of 3 channels, expected 1"):
        train(tiny(discs, shape=(None, None, 3)), discs)
    with pytest.raises(BadInput, match=r"a model of 5 classes, expected 2 \(background, disc\)"):
        train(tiny(discs, n_classes=5), discs)


def test_a_loss_that_is_not_a_number_stops_the_training(keras, discs):
    from unetrt.builder import train

    model = tiny(discs)
    weights = model.get_weights()
    weights[0][:] = np.nan
    model.set_weights(weights)
    with pytest.raises(DataError, match="Training diverged: got a loss of nan at step 1"):
        train(model, discs, TrainSpec(epochs=1, crop=32, batch=2))


@pytest.mark.parametrize("fields", [{"minutes": 0}, {"minutes": -1}, {"epochs": 0}])
def test_no_time_is_not_a_training(fields):
    with pytest.raises(BadInput, match="Cannot train"):
        TrainSpec(**fields)

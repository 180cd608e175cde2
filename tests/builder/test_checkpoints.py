import numpy as np
import pytest

from unetrt.errors import ArtifactError

pytestmark = pytest.mark.tf


@pytest.fixture
def parts(keras):
    """A model with every kind of state, and its optimizer, after a step."""

    def make(seed):
        from unetrt.builder import TrainSpec
        from unetrt.builder.training_model import make_optimizer

        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.5),
            ]
        )
        optimizer = make_optimizer(TrainSpec(ema=0.9), loss_scaling=True)
        optimizer.build(model.trainable_variables)
        model(np.ones((2, 4), np.float32), training=True)
        optimizer.apply([np.full(v.shape, 0.1 * seed, "f4") for v in model.trainable_variables])
        return model, optimizer

    return make


def checkpoint(path, **fields):
    from unetrt.builder.checkpoints import Checkpoint
    from unetrt.builder.history import Epoch

    epoch = Epoch(
        epoch=1, loss=0.1, val_dice=1 / 3, learning_rate=1e-3, elapsed_s=0.1, remaining_s=7.0
    )
    own = {
        "identity": {"spec": {"batch": 8}},
        "step": 50,
        "spent_s": 12.5,
        "history": (epoch,),
        "best_weights": [np.arange(3, dtype="f4")],
    }
    return Checkpoint(path=path, **(own | fields))


def state(model, optimizer):
    return [np.asarray(v) for v in (*model.variables, *optimizer.variables)]


def test_everything_comes_back_to_the_last_bit(parts, tmp_path):
    from unetrt.builder.checkpoints import load_checkpoint, restore, save_checkpoint

    path = tmp_path / "checkpoint"
    saved, other = parts(1), parts(2)
    save_checkpoint(checkpoint(path), *saved)
    found = load_checkpoint(path)
    assert (found.identity, found.step, found.spent_s) == ({"spec": {"batch": 8}}, 50, 12.5)
    assert found.history == checkpoint(path).history
    assert found.best_weights[0].tolist() == [0, 1, 2]
    assert any((a != b).any() for a, b in zip(state(*saved), state(*other), strict=True))
    restore(found, *other)
    for before, after in zip(state(*saved), state(*other), strict=True):
        assert before.dtype == after.dtype
        assert (before == after).all()
    names = [variable.path for variable in other[0].variables]
    assert any("seed" in name for name in names)  # so that dropout continues as it was


def test_a_checkpoint_cut_short_says_what_to_do(parts, tmp_path):
    from unetrt.builder.checkpoints import load_checkpoint, save_checkpoint

    path = tmp_path / "checkpoint"
    save_checkpoint(checkpoint(path), *parts(1))
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(
            ArtifactError, match="Cannot resume from .*train again with `restart=True`"
        ):
            load_checkpoint(path)


def test_a_changed_byte_is_noticed(parts, tmp_path):
    from unetrt.builder.checkpoints import load_checkpoint, save_checkpoint

    path = tmp_path / "checkpoint"
    save_checkpoint(checkpoint(path), *parts(1))
    altered = bytearray(path.read_bytes())
    altered[altered.index(b"\x93NUMPY") + 130] ^= 1
    path.write_bytes(altered)
    with pytest.raises(ArtifactError, match="Cannot resume from"):
        load_checkpoint(path)


def test_variables_of_another_model_are_refused(keras, parts, tmp_path):
    from unetrt.builder.checkpoints import load_checkpoint, restore, save_checkpoint

    path = tmp_path / "checkpoint"
    model, optimizer = parts(1)
    save_checkpoint(checkpoint(path), model, optimizer)
    wider = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    with pytest.raises(ArtifactError, match=r"model/0 of shape \(4, 3\), not \(4, 5\)"):
        restore(load_checkpoint(path), wider, optimizer)


def test_a_failed_write_leaves_the_checkpoint_before(parts, tmp_path, monkeypatch):
    from unetrt.builder.checkpoints import load_checkpoint, save_checkpoint

    path = tmp_path / "checkpoint"
    save_checkpoint(checkpoint(path), *parts(1))

    def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(checkpoint(path, step=100), *parts(2))
    assert load_checkpoint(path).step == 50
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]

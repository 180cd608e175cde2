"""Cross-validation: the files are shared out, the networks averaged."""

import itertools
import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unetrt
from unetrt.builder.folds import folds_of
from unetrt.builder.train_spec import TrainSpec
from unetrt.data import Dataset, Sample
from unetrt.errors import BadInput, DataError

QUICK = {"epochs": 1, "crop": 16, "batch": 2}


def volume(name, pages, label=None):
    """The slices of a file."""
    label = np.eye(4, dtype=np.uint8) if label is None else label
    return [
        Sample(f"{name}_{k}", np.zeros((4, 4, 1), np.uint8), label, group=name)
        for k in range(pages)
    ]


def dataset(*counts, names=("background", "cell")):
    """A set of volumes of so many pages: the first for testing, the second for validation."""
    volumes = [volume(f"file{k}", pages) for k, pages in enumerate(counts)]
    test, val, *train = volumes
    return Dataset(
        "volumes", names, tuple(page for pages in train for page in pages), tuple(val), tuple(test)
    )


def files(samples):
    return {sample.group for sample in samples}


@given(st.lists(st.integers(1, 4), min_size=4, max_size=12), st.data())
def test_folds_partition_the_files_and_never_split_one(counts, draw):
    data = dataset(*counts)
    known = files((*data.train, *data.val))
    folds = folds_of(data, draw.draw(st.integers(2, len(known))))
    held_out = [files(fold.data.val) for fold in folds]
    assert sum(map(len, held_out)) == len(known)
    assert set().union(*held_out) == known
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
    for fold in folds:
        assert files(fold.data.train) == known - files(fold.data.val)
        assert len(fold.data.train) + len(fold.data.val) == len(data.train) + len(data.val)
        assert fold.data.test == data.test


def test_the_same_files_make_the_same_folds_in_any_order():
    counts = (1, 2, 1, 3, 1, 1)
    data = dataset(*counts)
    turned = Dataset("other", data.classes, data.train[::-1], data.val, data.test)
    for one, other in zip(folds_of(data, 3), folds_of(turned, 3), strict=True):
        assert files(one.data.val) == files(other.data.val)


def test_a_fold_has_its_share_of_the_minutes_and_all_of_the_epochs():
    fold = folds_of(dataset(*[1] * 6), 5)[2]
    training = fold.training(TrainSpec(minutes=10, epochs=7, seed=40))
    assert (training.minutes, training.epochs, training.seed) == (2, 7, 42)


@pytest.mark.parametrize("count", [1, 6])
def test_there_are_no_more_folds_than_files(count):
    with pytest.raises(BadInput, match="got 5 files for training and validation, expected 2 to 5"):
        folds_of(dataset(*[1] * 6), count)


def test_a_class_that_one_file_alone_shows_is_named_before_any_training():
    data = dataset(*[1] * 6, names=("background", "cell", "rare"))
    rare = volume("rare", 1, label=np.full((4, 4), 2, np.uint8))
    data = Dataset("volumes", data.classes, (*data.train, *rare), data.val, data.test)
    with pytest.raises(DataError, match=r"no training label of rare: got it only in .*rare"):
        folds_of(data, 3)


@pytest.fixture(scope="module")
def trained(keras, discs, tmp_path_factory):
    """Two folds of discs, and their ensemble."""
    from unetrt.builder import loop

    run = tmp_path_factory.mktemp("folds") / "run"
    said = []

    class Hearing(unetrt.Progress):
        def say(self, line):
            said.append(line)

    ticks = itertools.count()  # a clock that advances by a second whenever it is read
    with pytest.MonkeyPatch.context() as patched:
        clock = partial(loop.Schedule, now=lambda: next(ticks))
        patched.setattr("unetrt.builder.fit.Schedule", clock)
        plan = unetrt.plan(discs, **QUICK)
        result = unetrt.train(discs, run, plan, folds=2, progress=Hearing())
    return run, result, said


@pytest.mark.tf
def test_an_ensemble_s_output_is_the_mean_of_its_folds(trained, discs):
    from unetrt.keras_models import load_model

    run, result, _ = trained
    ensemble, file = load_model(run / "model.keras")
    assert [layer.name for layer in ensemble.layers][1:] == ["fold1", "fold2", "probabilities"]
    assert file.classes == discs.classes
    x = np.random.default_rng(0).uniform(0, 255, (1, 64, 48, 1)).astype(np.float32)
    parts = [load_model(run / name / "model.keras")[0].predict_on_batch(x)
             for name in ("fold1", "fold2")]  # fmt: skip
    np.testing.assert_allclose(ensemble.predict_on_batch(x), np.mean(parts, axis=0), atol=1e-6)
    assert np.abs(parts[0] - parts[1]).max() > 1e-3
    assert [len(part.history) for part in result.folds] == [1, 1]
    with pytest.raises(BadInput, match="An ensemble has no best epoch"):
        _ = result.best


@pytest.mark.tf
def test_an_ensemble_goes_the_same_road_as_any_network(trained, discs, tmp_path):
    from unetrt.verification import verify

    run, result, _ = trained
    model = unetrt.export(result.file, tmp_path / "model.onnx")
    half = unetrt.to_precision(model, tmp_path / "model.fp16.onnx")
    assert half.precision == "fp16"
    assert model.outputs[0].name == "probabilities"
    verify(run / "model.keras", model, discs).check(unetrt.Precision.FP32.tolerance)


@pytest.mark.tf
def test_each_fold_is_judged_by_files_it_did_not_see_and_all_together(trained, discs):
    run, result, said = trained
    assert set(result.metrics) == {"fold1", "fold2", "cross_validation", "test"}
    seen = [case.name for name in ("fold1", "fold2") for case in result.metrics[name].cases]
    assert sorted(seen) == sorted(sample.name for sample in (*discs.train, *discs.val))
    pooled = result.metrics["cross_validation"]
    assert [case.name for case in pooled.cases] == seen
    assert pooled.images == 8
    stored = json.loads((run / "metrics.json").read_text())
    assert stored["cross_validation"]["mean_dice"]["cases"] == 8
    assert json.loads((run / "fold2" / "metrics.json").read_text())["val"] == stored["fold2"]
    epochs = [line for line in said if "epoch" in line]
    assert epochs[0].startswith("fold 1/2  epoch   1")
    assert not epochs[0].endswith("remaining 0 s")
    assert epochs[1].endswith("remaining 0 s")


@pytest.mark.tf
def test_the_fold_that_was_interrupted_goes_on(trained, discs, tmp_path):
    class Stopping(unetrt.Progress):
        def tick(self, line):
            if line.startswith("fold 2/2  epoch 1, step 3/"):
                raise KeyboardInterrupt

    run, said = tmp_path / "run", []
    plan = unetrt.plan(discs, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        unetrt.train(discs, run, plan, folds=2, progress=Stopping())
    with pytest.raises(BadInput, match="holds an unfinished training"):
        unetrt.train(discs, run, plan)

    class Hearing(unetrt.Progress):
        def say(self, line):
            said.append(line)

    result = unetrt.resume(run, data=discs, progress=Hearing())
    assert "Fold 1 was finished" in said
    _, whole, _ = trained
    for a, b in zip(whole.model.get_weights(), result.model.get_weights(), strict=True):
        assert (a == b).all()


@pytest.mark.tf
def test_a_run_stopped_between_two_folds_is_unfinished_and_a_restart_forgets_the_folds(
    trained, discs, tmp_path
):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    shutil.rmtree(run / "fold2")
    (run / "metrics.json").unlink()
    plan = unetrt.plan(discs, **QUICK)
    with pytest.raises(BadInput, match="holds an unfinished training"):
        unetrt.train(discs, run, plan)
    unetrt.train(discs, run, plan, restart=True)
    assert not (run / "fold1").exists()

"""A training that was killed ends as if it had not been."""

import csv
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.builder import interrupted
from tests.conftest import write_folder
from unetrt.errors import ArtifactError, BadInput

pytestmark = pytest.mark.tf


@pytest.fixture
def go(keras, disc_folder):
    """Train on discs in this process: go(run, ...) -> result."""
    return lambda run, **options: interrupted.go(disc_folder, run, **options)


@pytest.fixture(scope="module")
def unbroken(keras, tmp_path_factory):
    """What a training that nothing stops leaves, and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    run = folder / "run"
    result = interrupted.go(write_folder(folder / "discs"), run)
    return run, result.model.get_weights()


def curve(run):
    with (run / "history.csv").open(newline="") as file:
        return [(row["epoch"], row["loss"], row["val_dice"]) for row in csv.DictReader(file)]


def same(result, unbroken, run):
    """Whether two trainings agree to the last bit, in memory and in what they leave."""
    from unetrt.keras_models import load_model

    whole, weights = unbroken
    assert curve(run) == curve(whole)
    for model in (result.model, load_model(run / "model.keras")[0]):
        for a, b in zip(weights, model.get_weights(), strict=True):
            assert (a == b).all()
    assert not (run / "checkpoint").exists()


def stopping_at(step):
    """Return an `on_step` that stops a training there, as Ctrl-C would."""

    def stop():
        raise KeyboardInterrupt

    return interrupted.at_step(step, stop)


def killed(data, run, how, step):
    """Train in a process that is killed when it has taken so many steps."""
    command = [sys.executable, interrupted.__file__, data, run, how, str(step)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
def test_a_training_killed_twice_ends_with_the_same_curve_and_weights(
    go, unbroken, disc_folder, tmp_path
):
    run = tmp_path / "run"
    epoch = interrupted.STEPS
    first = random.randint(epoch + 1, 2 * epoch)  # noqa: S311
    killed(disc_folder, run, "begin", first)
    assert (run / "checkpoint").exists()
    assert len(curve(run)) == 1, first
    second = random.randint(epoch + 1, 2 * epoch)  # noqa: S311
    killed(disc_folder, run, "resume", second)
    assert len(curve(run)) == 2, second
    result = go(run, resume=True)
    assert len(result.history) == 3
    same(result, unbroken, run)


@pytest.mark.parametrize("step", [1, 51])
def test_an_interruption_at_a_step_is_made_good(go, unbroken, tmp_path, step):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        go(run, on_step=stopping_at(step))
    same(go(run, resume=True), unbroken, run)


@pytest.mark.parametrize("name", ["write_history", "save_checkpoint"])
def test_a_kill_between_the_files_of_an_epoch_repeats_it(go, unbroken, tmp_path, monkeypatch, name):
    from unetrt.builder import run_folder

    run, calls, real = tmp_path / "run", [], getattr(run_folder, name)

    def dies_at_the_second(*args):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(run_folder, name, dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        go(run)
    monkeypatch.undo()
    same(go(run, resume=True), unbroken, run)


def test_a_training_killed_after_its_last_epoch_needs_no_step(go, unbroken, tmp_path, monkeypatch):
    from unetrt.builder.run_folder import RunWriter

    run, steps = tmp_path / "run", []

    def killed(_self):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunWriter, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        go(run)
    monkeypatch.undo()
    result = go(run, resume=True, on_step=steps.append)
    assert not [line for line in steps if line.startswith("epoch")]
    same(result, unbroken, run)


@pytest.fixture(scope="module")
def stopped(keras, tmp_path_factory):
    """A run that was interrupted in its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(KeyboardInterrupt):
        interrupted.go(write_folder(folder / "discs"), folder / "run", on_step=stopping_at(60))
    return folder / "run"


@pytest.fixture
def unfinished(stopped, tmp_path):
    """A copy of it, on the same data."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def test_what_changed_since_is_named_and_nothing_is_lost(go, unfinished, disc_folder):
    before = (unfinished / "checkpoint").read_bytes()
    with pytest.raises(BadInput, match="spec: batch 4 -> 2.*train again with `restart=True`"):
        go(unfinished, resume=True, batch=2)
    with pytest.raises(BadInput, match=r"network: parameters \d+ -> \d+; network: other layers"):
        go(unfinished, resume=True, filters=(6,))
    path = next((disc_folder / "labels").iterdir())
    with Image.open(path) as label:
        changed = label.copy()
    changed.putpixel((0, 0), 255)
    changed.save(path)
    with pytest.raises(BadInput, match=r"data: other \w+ images or labels"):
        go(unfinished, resume=True)
    assert (unfinished / "checkpoint").read_bytes() == before


def test_an_unfinished_training_is_not_begun_again_by_accident(go, unfinished):
    with pytest.raises(
        BadInput,
        match="holds an unfinished training.*resume it, or train again with `restart=True`",
    ):
        go(unfinished)


def test_a_damaged_checkpoint_says_what_to_do(go, unfinished):
    path = unfinished / "checkpoint"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ArtifactError, match="train again with `restart=True`"):
        go(unfinished, resume=True)


def test_there_must_be_something_to_resume(go, tmp_path, unbroken):
    with pytest.raises(ArtifactError, match="got no training, expected one that was interrupted"):
        go(tmp_path / "nothing", resume=True)
    with pytest.raises(ArtifactError, match="got a finished training"):
        go(unbroken[0], resume=True)
    with pytest.raises(BadInput, match="expected the folder `run`"):
        go(None, resume=True)

"""`unetrt train` from the outside: what it says, and what it does about a run that lies there."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import write_folder
from tests.jobs.command_line import run_cli

pytestmark = pytest.mark.tf

QUICK = ("--epochs", "1", "--crop", "30", "--batch", "2")


def plain(text):
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was interrupted after its last epoch."""
    from unetrt.builder.run_folder import RunWriter

    def killed(_self):
        raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("stopped")
    data, run = write_folder(folder / "discs"), folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunWriter, "finish", killed)
        assert run_cli("train", data, "--out", run, *QUICK).exit_code == 130
    return run


@pytest.fixture
def unfinished(stopped, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def test_the_data_and_the_plan_are_shown_and_the_crop_that_is_taken(unetrt, disc_folder, tmp_path):
    done = unetrt("train", disc_folder, "--out", tmp_path / "run", *QUICK, "--tta")
    assert done.exit_code == 0, done.output
    said = plain(done.stderr)
    assert "discs, and how it is trained on" in said
    assert "rounded up to what the" in said
    assert re.search(r"epoch +1 loss 0\.\d+ validation Dice .*elapsed .*remaining", said)
    assert set(json.loads((tmp_path / "run" / "metrics.json").read_text())) == {
        "train",
        "val",
        "test",
        "test_tta",
    }


def test_an_unfinished_run_is_resumed_or_begun_again_but_never_lost(
    unetrt, disc_folder, unfinished
):
    refused = unetrt("train", disc_folder, "--out", unfinished, *QUICK)
    assert refused.exit_code == 2
    assert re.search("unfinished training.*resume it, or train again with --restart",
                     plain(refused.stderr))  # fmt: skip
    done = unetrt("resume", unfinished, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model"] == str(unfinished / "model.keras")
    assert (unfinished / "metrics.json").exists()
    assert not (unfinished / "checkpoint").exists()
    finished = unetrt("resume", unfinished)
    assert finished.exit_code == 2
    assert "a finished training" in plain(finished.stderr)


def test_a_run_killed_while_it_was_evaluated_is_evaluated(unetrt, unfinished):
    (unfinished / "checkpoint").unlink()
    done = unetrt("resume", unfinished)
    assert done.exit_code == 0, done.output
    assert "epoch 1" not in plain(done.stderr)
    assert "The training was finished" in plain(done.stderr)
    assert (unfinished / "metrics.json").exists()


def test_data_that_were_moved_are_asked_for_and_data_that_changed_are_named(
    unetrt, disc_folder, unfinished
):
    plan = unfinished / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"data": str(disc_folder / "gone")}))
    refused = unetrt("resume", unfinished)
    assert refused.exit_code == 2
    assert re.search("are not where they were.*gone.*say as --data", plain(refused.stderr))
    fewer = shutil.copytree(disc_folder, disc_folder.with_name("fewer"))
    for part in ("images", "labels"):
        (fewer / part / "disc0.png").unlink()
    changed = unetrt("resume", unfinished, "--data", fewer)
    assert changed.exit_code == 2
    assert re.search(r"data: \d -> \d train images.*--restart", plain(changed.stderr))
    moved = disc_folder.rename(disc_folder.with_name("moved"))
    assert unetrt("resume", unfinished, "--data", moved).exit_code == 0


def test_there_is_nothing_to_resume_in_another_folder(unetrt, tmp_path):
    done = unetrt("resume", tmp_path)
    assert done.exit_code == 2
    assert "got no plan.json in it, expected the folder of a training" in plain(done.stderr)


def test_restart_begins_again(unetrt, disc_folder, unfinished):
    done = unetrt("train", disc_folder, "--out", unfinished, *QUICK, "--restart", "--seed", "1")
    assert done.exit_code == 0, done.output
    sidecar = json.loads((unfinished / "model.keras.json").read_text())
    assert sidecar["made_with"]["spec"]["seed"] == 1
    assert sidecar["made_with"]["network"]["n_classes"] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--loss", "magic"), "'--loss': 'magic' is not one of 'ce_dice'"),
        (("--preset", "tiny"), "'--preset': 'tiny' is not one of 'auto'"),
        (("--epochs", "1", "--minutes", "2"), "by --epochs takes no --minutes"),
        (("--from", "own.keras", "--preset", "paper"), "--from a model takes no --preset"),
    ],
)
def test_what_there_is_not_or_does_not_apply_is_refused(unetrt, tmp_path, words, told):
    done = unetrt("train", "brain", "--out", tmp_path / "run", *words)
    assert done.exit_code == 2
    assert told in plain(done.stderr)
    assert not (tmp_path / "run").exists()


def test_without_a_folder_to_write_to_no_run_of_another_day_is_lost(unetrt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    done = unetrt("train", "brain")
    assert done.exit_code == 2
    assert "There is a folder run already; name another one with --out" in plain(done.stderr)

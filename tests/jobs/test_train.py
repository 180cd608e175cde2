"""The first job: a folder of images in, a trained model out."""

import csv
import json

import pytest
from PIL import Image

from tests.jobs.command_line import run_cli
from tests.jobs.snapshot import check_snapshot

# A network that finds nothing has no precision and no distance: null.
SCORES = ("*.foreground", "*.per_image_foreground")


@pytest.mark.tf
def test_a_run_leaves_the_model_its_history_metrics_and_overlays(trained):
    run = trained.path.parent
    assert {path.name for path in run.iterdir()} == {
        "model.keras", "model.keras.json", "history.csv", "logs", "metrics.json", "overlays",
        "plan.json", "report.html",
    }  # fmt: skip
    assert json.loads((run / "metrics.json").read_text()) == trained.printed["metrics"]
    with (run / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    for overlay in (run / "overlays").iterdir():
        with Image.open(overlay) as image:
            assert image.height == 32
    assert trained.printed["sha256"] == trained.sidecar["sha256"]


@pytest.mark.tf
def test_it_has_learnt_what_a_disc_is(trained):
    assert trained.printed["metrics"]["test"]["dice"]["foreground"] > 0.6


@pytest.mark.tf
def test_what_is_printed_and_what_is_stored(trained):
    check_snapshot("train", trained.printed, unknown=SCORES)
    check_snapshot("model.keras.sidecar", trained.sidecar)


def test_a_folder_without_labels_is_refused(tmp_path, data):
    (tmp_path / "images").symlink_to(data / "images")
    run = run_cli("train", tmp_path, "--out", tmp_path / "run", "--json")
    assert "labels" in run.refusal(2)
    assert not (tmp_path / "run").exists()
    check_snapshot("train.refused", json.loads(run.stdout), unknown=["error"])

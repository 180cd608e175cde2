"""`unetrt.train` and `unetrt.resume`: a run's folder holds all that it takes to go on."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

import unetrt
from unetrt.errors import ArtifactError, BadInput

pytestmark = pytest.mark.tf

QUICK = {"crop": 16, "batch": 2}


def killed(code, *words):
    """Run code that kills its own process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], stderr=subprocess.PIPE, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


KILLED_AT_A_LINE = """
import os, signal, sys, unetrt
class Killing(unetrt.Progress):
    def tick(self, line):
        if line.startswith(last):
            os.kill(os.getpid(), signal.SIGKILL)
data, run, folds, last = sys.argv[1:]
plan = unetrt.plan(data, epochs=2, crop=16, batch=2)
unetrt.train(data, run, plan, folds=int(folds) or None, progress=Killing())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folds", "last"), [(0, "epoch 2, step 3/"), (2, "fold 2/2  epoch 2, step 3/")]
)
def test_a_training_killed_in_its_process_is_resumed_by_its_folder_alone(
    keras, disc_folder, tmp_path, folds, last
):
    run = tmp_path / "run"
    killed(KILLED_AT_A_LINE, disc_folder, run, folds, last)
    result = unetrt.resume(run)
    plan = unetrt.plan(str(disc_folder), epochs=2, **QUICK)
    whole = unetrt.train(str(disc_folder), tmp_path / "whole", plan, folds=folds or None)
    for one, other in zip((result, *result.folds), (whole, *whole.folds), strict=True):
        assert [e.loss for e in one.history] == [e.loss for e in other.history]
    for a, b in zip(result.model.get_weights(), whole.model.get_weights(), strict=True):
        assert (a == b).all()


def test_data_made_in_memory_are_given_again(keras, discs, tmp_path):
    class Stopping(unetrt.Progress):
        def tick(self, line):
            if line.startswith("epoch 1, step 2/"):
                raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        unetrt.train(discs, run, unetrt.plan(discs, epochs=1, **QUICK), progress=Stopping())
    with pytest.raises(BadInput, match="data that were made in memory; give them again as `data`"):
        unetrt.resume(run)
    other = replace(discs, test=discs.test[:1])
    with pytest.raises(BadInput, match="data: 3 -> 1 test images"):
        unetrt.resume(run, data=other)
    assert len(unetrt.resume(run, data=discs).history) == 1


def test_a_plan_that_was_changed_or_damaged_is_refused(tmp_path, discs):
    from unetrt.builder.saved_plan import SavedPlan, read_plan, write_plan

    path = tmp_path / "plan.json"
    saved = SavedPlan(data=None, identity={}, plan=unetrt.plan(discs))
    write_plan(path, saved)
    assert read_plan(path) == saved
    for changed in ({"format": 2}, {"plan": {}}, {"surprise": 1}):
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))
        with pytest.raises(ArtifactError, match="Cannot read .*plan.json.*`restart=True`"):
            read_plan(path)
        write_plan(path, saved)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ArtifactError, match="Cannot read .*plan.json"):
        read_plan(path)


def test_without_the_packages_of_the_report_the_training_says_which_extra_and_goes_on(
    keras, discs, tmp_path, monkeypatch
):
    from unetrt import vendor
    from unetrt.errors import MissingDependency

    def absent():
        raise MissingDependency("jinja2", extra="report", purpose="Writing the report")

    said = []

    class Hearing(unetrt.Progress):
        def say(self, line):
            said.append(line)

    monkeypatch.setattr(vendor, "jinja2", absent)
    run = tmp_path / "run"
    unetrt.train(discs, run, unetrt.plan(discs, epochs=1, **QUICK), progress=Hearing())
    assert any(line.startswith("There is no report.html: ") for line in said)
    assert any("unetrt[report]" in line for line in said)
    assert (run / "metrics.json").exists()
    assert not (run / "report.html").exists()


def test_the_page_shows_the_worst_slice_of_a_volume_once(keras, discs, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    test = tuple(replace(sample, group="scan.nii") for sample in discs.test)
    volume = replace(discs, test=test)
    plan = unetrt.plan(volume, epochs=1, **QUICK)
    result = unetrt.train(volume, tmp_path / "run", plan)
    (case,) = result.metrics["test"].cases
    assert (case.name, case.images) == ("scan.nii", 3)
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    dice = {name: one["dice"]["disc"] for name, one in result.metrics["test"].per_image.items()}
    assert f"scan.nii, {min(dice, key=dice.get)}:" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")

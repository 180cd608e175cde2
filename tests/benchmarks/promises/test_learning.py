"""The benchmark of training: its scorer, its file that is continued, what it promises."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.benchmarks.promises.made_nuclei import write_nuclei
from unetrt.benchmarks.promises import learning, systems
from unetrt.benchmarks.promises.learning import Score, judge, scores_table
from unetrt.benchmarks.promises.tasks import TASKS, write_task
from unetrt.data import Dataset, Sample
from unetrt.errors import ArtifactError, BadInput, CheckFailed

MINUTES = 0.05


class Knowing:
    """A system that predicts the truth, or the background alone."""

    def __init__(self, *, right):
        self.right = right

    def predict(self, _run, data):
        for sample in data.test:
            yield sample.label if self.right else np.zeros_like(sample.label)


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory):
    return write_nuclei(tmp_path_factory.mktemp("data") / "nuclei")


@pytest.fixture
def benchmark(nuclei, tmp_path, monkeypatch):
    """Run the script with children that are called, not started; return what it called them for."""
    called = []

    def in_child(call, **_):
        named = call.keywords
        called.append((call.func.__name__, named["system"], named["data"].rpartition("/")[2]))
        if call.func is learning.train:
            return {"training": {"steps": 7, "seed": named["seed"]}}
        return call.func(**named)

    def run(*words, out=tmp_path / "r.json"):
        called.clear()
        words = [f"--out={out}", f"--nuclei={nuclei}", f"--minutes={MINUTES}", *words]
        monkeypatch.setattr(sys, "argv", ["learning", *words])
        status = learning.main()
        return status, list(called), json.loads(out.read_text())

    monkeypatch.setattr(learning, "run_in_child", in_child)
    monkeypatch.setattr(learning, "system_named", lambda name, **_: Knowing(right=name == "unetrt"))
    return run


def test_a_perfect_prediction_is_scored_1_and_none_0(nuclei, tmp_path, monkeypatch):
    write_task(TASKS["nuclei"], tmp_path / "data", nuclei=nuclei)
    for right in (True, False):
        monkeypatch.setattr(learning, "system_named", lambda *_, **__: Knowing(right=right))  # noqa: B023
        found = learning.score(
            system="any", data=str(tmp_path / "data"), run="nowhere", nnunet_python=None
        )
        assert found["dice"] == {"nucleus": float(right)}
        assert found["per_image"] == float(right)
        assert (found["object_f1"] > 0.5) == right


def test_every_system_is_trained_once_a_seed_and_judged_on_the_same_images(benchmark, capsys):
    status, called, content = benchmark("--tasks=few", "--seeds=0,1")
    assert called == [
        (what, system, "few")
        for _seed in (0, 1)
        for system in ("unetrt", "plain")
        for what in ("train", "score")
    ]
    assert [score["seed"] for score in content["scores"]] == [0, 0, 1, 1]
    assert content["scores"][0]["training"] == {"steps": 7, "seed": 0}
    assert "few" in capsys.readouterr().out
    assert status == 0
    assert content["machine"]["cpu"]


def test_zoomed_images_are_tested_by_the_model_of_the_others(benchmark):
    _, called, content = benchmark(
        "--tasks=nuclei,nuclei_zoom_0.5,nuclei_zoom_2", "--systems=unetrt", "--seeds=0"
    )
    judged = [("score", "unetrt", n) for n in ("nuclei", "nuclei_zoom_0.5", "nuclei_zoom_2")]
    assert called == [("train", "unetrt", "nuclei"), *judged]
    assert len(content["scores"]) == 3


def test_what_the_file_has_is_not_done_again(benchmark):
    benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")
    assert benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")[1] == []
    _, called, content = benchmark("--tasks=few,sizes", "--systems=unetrt", "--seeds=0")
    assert called == [("train", "unetrt", "sizes"), ("score", "unetrt", "sizes")]
    assert [score["task"] for score in content["scores"]] == ["few", "sizes"]


def test_other_minutes_are_another_training(benchmark):
    benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")
    _, called, content = benchmark(
        "--tasks=few", "--systems=unetrt", "--seeds=0", f"--minutes={2 * MINUTES}"
    )
    assert [what for what, *_ in called] == ["train", "score"]
    assert [score["minutes"] for score in content["scores"]] == [MINUTES, 2 * MINUTES]


def test_an_interruption_loses_the_training_in_progress_alone(benchmark, monkeypatch):
    score = learning.score
    monkeypatch.setattr(learning, "score", interrupt := lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")
    assert interrupt is learning.score
    monkeypatch.setattr(learning, "score", score)
    _, called, _ = benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")
    assert called == [("score", "unetrt", "few")]


def test_a_failure_is_a_result_and_is_tried_again(benchmark, monkeypatch):
    inner = learning.run_in_child

    def fails(call, **options):
        if call.func is learning.train:
            raise CheckFailed("train failed", got="no memory")
        return inner(call, **options)

    monkeypatch.setattr(learning, "run_in_child", fails)
    status, _, content = benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")
    assert status == 1
    assert content["scores"][0]["failure"] == "no memory"
    monkeypatch.setattr(learning, "run_in_child", inner)
    status, called, content = benchmark("--tasks=few", "--systems=unetrt", "--seeds=0")
    assert len(called) == 2
    assert [score["failure"] for score in content["scores"]] == [None]


def test_a_task_without_its_data_is_a_failure_of_that_task(benchmark, tmp_path):
    _, called, content = benchmark(
        "--tasks=few", "--systems=unetrt", "--seeds=0", f"--nuclei={tmp_path / 'none'}"
    )
    assert called == []
    assert "none/index.csv" in content["scores"][0]["failure"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--tasks=few,fewer"], "fewer"),
        (["--systems=ours"], "ours"),
    ],
)
def test_what_does_not_exist_is_refused(benchmark, words, named):
    with pytest.raises(BadInput, match=named):
        benchmark(*words)


def test_nnunet_needs_its_interpreter():
    with pytest.raises(BadInput, match="nnunetv2"):
        systems.system_named("nnunet")


def test_a_file_of_something_else_is_not_written_over(benchmark, tmp_path):
    (tmp_path / "r.json").write_text('{"input": 3}')
    with pytest.raises(ArtifactError, match="Cannot continue"):
        benchmark("--tasks=few")
    assert (tmp_path / "r.json").read_text() == '{"input": 3}'


def scores(system, seeds=3, object_f1=None, **tasks):
    return [
        Score(
            task=name,
            system=system,
            seed=seed,
            minutes=1.5,
            # The middle seed is the median.
            dice=dict.fromkeys(TASKS[name].classes[1:], dice + (seed - 1) * 0.01),
            object_f1=object_f1,
        )
        for name, dice in tasks.items()
        for seed in range(seeds)
    ]


def kept(measured):
    return {verdict.promise: verdict.kept for verdict in judge(measured)}


def test_promises_that_are_kept():
    found = kept(
        [
            *scores("unetrt", nuclei=0.93, nuclei_scaled=0.926, few=0.8, object_f1=0.9),
            *scores("plain", nuclei=0.91, nuclei_scaled=0.9, few=0.804),
            *scores("nnunet", nuclei=0.92),
        ]
    )
    assert set(found.values()) == {True, None}
    assert len(found) == 7


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        ({"nuclei": 0.924}, "nuclei: Dice of nucleus at least 0.925"),
        ({"brain": 0.964}, "brain: Dice of grey at least 0.965"),
        ({"nuclei": 0.95, "nuclei_scaled": 0.944}, "nuclei_scaled: Dice within 0.005 of nuclei"),
        ({"nuclei": 0.95, "nuclei_zoom_2": 0.9}, "nuclei_zoom_2: Dice within 0.04 of nuclei"),
        ({"few": 0.79}, "Dice never behind the plain network's by more than 0.005"),
        ({"few": 0.799}, "ahead of the plain network in the median over tasks"),
    ],
)
def test_promises_that_are_missed(ours, missed):
    plain = scores("plain", few=0.8)
    found = kept([*scores("unetrt", object_f1=0.9, **ours), *plain])
    assert found[missed] is False
    assert sum(value is False for value in found.values()) <= 2


def test_a_training_that_failed_counts_as_no_dice_and_is_named():
    measured = scores("unetrt", few=0.9, sizes=0.9) + scores("plain", few=0.8, sizes=0.8)
    measured[0] = replace(measured[0], dice={}, failure="no memory")
    (verdict,) = [v for v in judge(measured) if v.promise.startswith("every task")]
    assert (verdict.measured, verdict.kept) == ("few", False)
    assert kept(measured)["ahead of the plain network in the median over tasks"] is True


def test_the_table_shows_medians_ranges_and_objects():
    table = scores_table([*scores("unetrt", nuclei=0.93, object_f1=0.9), *scores("plain", few=0.8)])
    lines = table.splitlines()
    assert lines[0].split() == ["task", "unetrt", "plain"]
    assert re.search(r"nuclei +0.9300 \(0.920-0.940\) F1 0.900", lines[1])
    assert re.search(r"few +0.8000 \(0.790-0.810\)", lines[2])


def test_the_command_of_the_user_is_what_is_measured(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(systems, "_run", lambda command, log: commands.append((command, log.name)))
    systems.Unetrt().train(tmp_path / "d", tmp_path / "few-0-1.5", minutes=1.5, seed=2)
    ((command, log),) = commands
    assert command[1:5] == ["-m", "unetrt", "train", str(tmp_path / "d")]
    assert command[-4:] == ["--minutes", "1.5", "--seed", "2"]
    assert log == "few-0-1.5.log"


def test_a_command_that_fails_says_its_last_line(tmp_path):
    with pytest.raises(CheckFailed, match="out of luck"):
        systems._run([sys.executable, "-c", "exit('out of luck')"], tmp_path / "log")


def sample(name, image, label, group=""):
    return Sample(name, image.astype(np.float32), label.astype(np.uint8), group=group)


def volume_data():
    """Two slices of a volume, and images with pixels to ignore; two channels."""
    random = np.random.default_rng(0)
    image = random.normal(0, 9000, (6, 8, 2))
    label = random.integers(0, 2, (6, 8))
    label[0, 0] = 1
    unknown = np.where(label == 1, 255, 0)
    unknown[0, 0] = 1
    slices = tuple(sample(f"v_{k}", image + k, label, group="v.nii") for k in range(2))
    others = tuple(sample(name, image, unknown) for name in ("a", "b"))
    return Dataset("cells", ("background", "cell"), slices, others[:1], (*slices, others[1]))


def test_nnunet_is_given_a_file_a_channel_and_the_parts_as_they_are(monkeypatch, tmp_path):
    calls = []

    def call(command, _log):
        calls.append(command)
        (tmp_path / "run" / "trained.json").write_text('{"steps": 3}')

    monkeypatch.setattr(systems, "_run", call)
    monkeypatch.setattr(systems, "load_dataset", lambda _folder: volume_data())
    peer = systems.system_named("nnunet", nnunet_python=tmp_path / "python")
    found = peer.train(tmp_path / "data", tmp_path / "run", minutes=1.5, seed=2)
    assert found == {"steps": 3}
    assert calls[0][0] == str(tmp_path / "python")
    assert calls[0][2:] == [str(tmp_path / "run"), "train", "1.5", "2"]
    raw = tmp_path / "run" / "raw" / "Dataset001_task"
    names = sorted(path.name for path in (raw / "imagesTr").iterdir())
    assert names == [f"{p}_00000_000{c}.nii" for p in ("train", "val") for c in (0, 1)]
    volume = nibabel.load(raw / "imagesTr" / "train_00000_0001.nii")
    expected = np.stack([one.image[..., 1] for one in volume_data().train], axis=-1)
    assert np.array_equal(np.asarray(volume.dataobj), expected)
    assert volume.header.get_zooms() == (1, 1, 1)
    assert nibabel.load(raw / "imagesTr" / "val_00000_0000.nii").header.get_zooms()[2] == 999
    description = json.loads((raw / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "cell": 1, "ignore": 2}
    assert description["channel_names"] == {"0": "channel0", "1": "channel1"}
    label = np.asarray(nibabel.load(raw / "labelsTr" / "val_00000.nii").dataobj)
    assert set(np.unique(label)) == {0, 1, 2}
    splits = json.loads((tmp_path / "run" / "splits.json").read_text())
    assert splits == [{"train": ["train_00000"], "val": ["val_00000"]}]


def test_the_labels_of_nnunet_s_files_are_those_of_the_slices_in_order(monkeypatch, tmp_path):
    data = volume_data()

    def call(command, _log):
        images, labels = map(Path, command[-2:])
        labels.mkdir()
        for path in images.glob("*_0000.nii"):
            volume = nibabel.load(path)
            classes = (np.asarray(volume.dataobj) > 0).astype(np.uint8)
            file = labels / path.name.replace("_0000.nii", ".nii")
            nibabel.save(nibabel.Nifti1Image(classes, volume.affine), file)

    monkeypatch.setattr(systems, "_run", call)
    peer = systems.NnUnet(tmp_path / "python")
    found = list(peer.predict(tmp_path / "run", data))
    assert len(found) == 3
    for labels, one in zip(found, data.test, strict=True):
        assert np.array_equal(labels, one.image[..., 0] > 0)


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.parametrize("name", ["unetrt", "plain"])
def test_a_system_trains_and_predicts_every_test_image(name, nuclei, tmp_path):
    write_task(TASKS["nuclei"], tmp_path / "data", nuclei=nuclei)
    learning.train(
        system=name,
        data=str(tmp_path / "data"),
        run=str(tmp_path / "run"),
        minutes=MINUTES,
        seed=0,
        nnunet_python=None,
    )
    found = learning.score(
        system=name, data=str(tmp_path / "data"), run=str(tmp_path / "run"), nnunet_python=None
    )
    assert 0 <= found["dice"]["nucleus"] <= 1
    assert found["object_f1"] is not None

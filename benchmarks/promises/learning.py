"""Train on many tasks for the same minutes, beside a plain U-Net and well-known peers.

    python -m unetrt.benchmarks.promises.learning --out FILE --nuclei FOLDER

Each training has a process of its own; all systems are judged on the same test images by the same
counters. The file is written after every training, and one that exists is continued: what it
has for these minutes is not done again. All tasks are done with the first seed before the next.

Needs the extras `train` and `demo`, for some tasks the packages in constraints/tasks.txt, for the
system `segmodels` the extra `zoo`, and for `nnunet` an environment of its own:

    python -m venv ENV && ENV/bin/pip install nnunetv2==2.8.1
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from unetrt.errors import ArtifactError, BadInput, CheckFailed, UnetrtError
from unetrt.files import write_text

from ..machine import describe_machine
from .runner import Verdict, report, run_in_child, run_script, script_parser
from .systems import SYSTEMS, System, system_named
from .tasks import TASKS, write_task

__all__ = ["Score", "judge", "main", "score", "scores_table", "train"]

_OURS, _PLAIN = "unetrt", "plain"
_MINUTES = 1.5
_AROUND_S = 3600
"""For what is around the minutes of a training: reading, preprocessing, judging."""

_WORSE = 0.005
"""Dice by which we may be behind the plain network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Hold what one training of one system came to on one task.

    Attributes:
        task: by its name in `TASKS`.
        system: by its name in `SYSTEMS`.
        seed: of the training.
        minutes: of the training.
        dice: of each class, pooled over the pixels of the test images.
        per_image: mean over the test images of the Dice of all foreground.
        object_f1: of numbered objects, matched at an IoU above 0.5.
        train_s: the whole training's seconds, with all around its minutes.
        score_s: seconds to predict and judge the test images.
        training: what else the system says of its training.
        failure: why there are no figures.
    """

    task: str
    system: str
    seed: int
    minutes: float
    dice: Mapping[str, float] = field(default_factory=dict)
    per_image: float | None = None
    object_f1: float | None = None
    train_s: float | None = None
    score_s: float | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    failure: str | None = None

    @property
    def key(self) -> tuple[str, str, int, float]:
        """Return what tells it from the others of a file."""
        return self.task, self.system, self.seed, self.minutes

    @property
    def mean_dice(self) -> float:
        """Return the mean over the classes but the background; 0 of a training that failed."""
        return sum(self.dice.values()) / len(self.dice) if self.dice else 0.0


def main() -> int:
    """Train, print the table and each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument(
        "--nuclei", type=Path, default=Path("nuclei"), help="folder of nuclei: images/, labels/"
    )
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of them, with commas")
    parser.add_argument("--systems", default=f"{_OURS},{_PLAIN}", help=",".join(SYSTEMS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="of each training")
    parser.add_argument("--work", type=Path, help="folder of data and models; FILE-work")
    parser.add_argument("--nnunet-python", type=Path, help="interpreter that has nnunetv2")
    given = parser.parse_args()
    tasks, systems = _words(given.tasks, TASKS, "task"), _words(given.systems, SYSTEMS, "system")
    for name in systems:
        system_named(name, nnunet_python=given.nnunet_python)
    seeds = [int(seed) for seed in given.seeds.split(",")]
    scores = _read(given.out)
    began = time.monotonic()
    for new in _missing_scores(scores, tasks, systems, seeds, given):
        scores[new.key] = new
        write_text(given.out, json.dumps(_content(scores.values()), indent=1) + "\n")
        sys.stdout.write(f"{time.monotonic() - began:6.0f} s  {_line(new)}\n")
        sys.stdout.flush()
    chosen = [score for score in scores.values() if score.minutes == given.minutes]
    sys.stdout.write(scores_table(chosen))
    measured = _content(scores.values())
    return report(judge(chosen), {"scores": measured["scores"]}, given.out)


def _words(given: str, known: Iterable[str], what: str) -> list[str]:
    words = given.split(",")
    unknown = sorted(set(words) - set(known))
    if unknown:
        raise BadInput(
            f"There is no such {what}", got=", ".join(unknown), expected=", ".join(known)
        )
    return words


def _read(file: Path) -> dict[tuple[str, str, int, float], Score]:
    """Read the scores of an earlier run; those that failed are done again."""
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        scores = [Score(**fields) for fields in content["scores"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"Cannot continue {file}",
            got=repr(error),
            expected="scores that this benchmark wrote",
        ) from error
    return {score.key: score for score in scores}


def _content(scores: Iterable[Score]) -> dict[str, Any]:
    return {"machine": describe_machine(), "scores": [asdict(score) for score in scores]}


def _missing_scores(
    known: Mapping[tuple[str, str, int, float], Score],
    tasks: Sequence[str],
    systems: Sequence[str],
    seeds: Sequence[int],
    given: Namespace,
) -> Iterator[Score]:
    """Train what was not trained, judge it on every task that it is for, and yield each score."""
    work = given.work or given.out.with_name(f"{given.out.stem}-work")
    for seed, (trained_on, judged_on) in product(seeds, _by_model(tasks).items()):
        for system in systems:
            keys = [(task, system, seed, given.minutes) for task in judged_on]
            keys = [key for key in keys if key not in known or known[key].failure]
            if keys:
                run = work / "runs" / f"{trained_on}-{system}-{seed}-{given.minutes:g}"
                yield from _scores_of_model(keys, trained_on, run, work / "data", given)


def _by_model(tasks: Iterable[str]) -> dict[str, list[str]]:
    """Return the tasks that share a model, by the one that it is trained on."""
    together: dict[str, list[str]] = {}
    for name in tasks:
        together.setdefault(TASKS[name].trained_as or name, []).append(name)
    return together


def _scores_of_model(
    keys: Sequence[tuple[str, str, int, float]],
    trained_on: str,
    run: Path,
    data: Path,
    given: Namespace,
) -> Iterator[Score]:
    _, system, seed, minutes = keys[0]
    python = given.nnunet_python and str(given.nnunet_python)
    try:
        folder = _data(trained_on, data, given.nuclei)
        trained = _trained(folder, run, system, seed, minutes, python)
    except (BadInput, CheckFailed) as error:
        for key in keys:
            yield _failed(key, error)
        return
    for key in keys:
        call = partial(score, system=system, run=str(run), nnunet_python=python)
        try:
            judged_on = str(_data(key[0], data, given.nuclei))
            found = run_in_child(partial(call, data=judged_on), timeout_s=_AROUND_S)
        except (BadInput, CheckFailed) as error:
            yield _failed(key, error)
        else:
            task, *_ = key
            yield Score(task=task, system=system, seed=seed, minutes=minutes, **trained, **found)


def _failed(key: tuple[str, str, int, float], error: UnetrtError) -> Score:
    task, system, seed, minutes = key
    words = str(error.got or error)
    return Score(task=task, system=system, seed=seed, minutes=minutes, failure=words)


def _data(task: str, place: Path, nuclei: Path) -> Path:
    """Return a task's folder, written once and whole."""
    folder = place / task
    if not folder.exists():
        partly = place / f".{task}.partial"
        shutil.rmtree(partly, ignore_errors=True)
        write_task(TASKS[task], partly, nuclei=nuclei)
        partly.rename(folder)
    return folder


def _trained(
    data: Path, run: Path, system: str, seed: int, minutes: float, python: str | None
) -> dict[str, Any]:
    """Train unless the folder holds a training that ended; return its seconds and figures."""
    note = run.with_name(f"{run.name}.json")
    if note.exists():
        known: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        return known
    shutil.rmtree(run, ignore_errors=True)
    call = partial(
        train,
        system=system,
        data=str(data),
        run=str(run),
        minutes=minutes,
        seed=seed,
        nnunet_python=python,
    )
    began = time.monotonic()
    training = run_in_child(call, timeout_s=60 * minutes + _AROUND_S)["training"]
    found = {"train_s": round(time.monotonic() - began, 1), "training": training}
    write_text(note, json.dumps(found))
    return found


def train(
    *, system: str, data: str, run: str, minutes: float, seed: int, nnunet_python: str | None
) -> dict[str, Any]:
    """Train a system on a data folder, in a child; leave the model in the folder `run`."""
    made = _system(system, nnunet_python)
    return {"training": made.train(Path(data), Path(run), minutes=minutes, seed=seed)}


def score(*, system: str, data: str, run: str, nnunet_python: str | None) -> dict[str, Any]:
    """Predict the test images of a data folder, in a child; return Dice and F1 of objects."""
    from unetrt.builder.evaluate import ObjectCounter
    from unetrt.data import IGNORED, load_dataset
    from unetrt.overlap import OverlapCounter

    made = _system(system, nnunet_python)
    dataset = load_dataset(Path(data))
    overlap, objects, numbered = OverlapCounter(dataset.classes), ObjectCounter(), False
    began = time.monotonic()
    for sample, labels in zip(dataset.test, made.predict(Path(run), dataset), strict=True):
        overlap.add(sample.label, labels)
        if sample.instances is not None:
            numbered = True
            objects.add(sample.instances, (labels > 0) & (sample.label != IGNORED))
    return {
        "dice": overlap.dice,
        "per_image": overlap.per_image_foreground,
        "object_f1": objects.f1 if numbered else None,
        "score_s": round(time.monotonic() - began, 1),
    }


def _system(name: str, nnunet_python: str | None) -> System:
    python = None if nnunet_python is None else Path(nnunet_python)
    return system_named(name, nnunet_python=python)


def judge(scores: Sequence[Score]) -> list[Verdict]:
    """Hold the medians over seeds against what the project promises."""
    ours, plain = _medians(scores, _OURS), _medians(scores, _PLAIN)
    verdicts = [
        *(verdict for name in ours for verdict in _floors(name, _of(scores, _OURS, name))),
        *_losses(ours),
    ]
    failed = sorted({score.task for score in scores if score.system == _OURS and score.failure})
    if ours:
        found = ", ".join(failed) or f"{len(ours)} of {len(ours)}"
        verdicts.append(Verdict("every task is trained on and predicted", found, not failed))
    shared = {name: ours[name] - plain[name] for name in ours if name in plain}
    if shared:
        worst = min(shared, key=lambda name: shared[name])
        verdicts += [
            Verdict(
                f"Dice never behind the plain network's by more than {_WORSE:g}",
                f"{shared[worst]:+.4f} on {worst}, the worst of {len(shared)} tasks",
                shared[worst] >= -_WORSE,
            ),
            Verdict(
                "ahead of the plain network in the median over tasks",
                f"{median(shared.values()):+.4f}",
                median(shared.values()) > 0,
            ),
        ]
    for peer in SYSTEMS[2:]:
        other = _medians(scores, peer)
        ahead = [ours[name] - other[name] for name in ours if name in other]
        if ahead:
            found = f"{median(ahead):+.4f} over {len(ahead)} tasks"
            verdicts.append(Verdict(f"ahead of {peer} by, in the median over tasks", found, None))
    return verdicts


def _of(scores: Iterable[Score], system: str, task: str) -> list[Score]:
    return [score for score in scores if (score.system, score.task) == (system, task)]


def _medians(scores: Sequence[Score], system: str) -> dict[str, float]:
    """Return the median mean Dice of each task that a system was trained on."""
    return {
        name: median(score.mean_dice for score in of_task)
        for name in TASKS
        if (of_task := _of(scores, system, name))
    }


def _floors(name: str, scores: Sequence[Score]) -> Iterator[Verdict]:
    """Hold a task's classes, and its objects, against the least that is promised."""
    task = TASKS[name]
    for class_name, least in zip(task.classes[1:], task.dice, strict=False):
        found = median(score.dice.get(class_name, 0.0) for score in scores)
        promise = f"{name}: Dice of {class_name} at least {least:g}"
        yield Verdict(promise, f"{found:.4f}", found >= least)
    if task.object_f1 is not None:
        found = median(score.object_f1 or 0.0 for score in scores)
        promise = f"{name}: F1 of objects at least {task.object_f1:g}"
        yield Verdict(promise, f"{found:.4f}", found >= task.object_f1)


def _losses(ours: Mapping[str, float]) -> Iterator[Verdict]:
    """Hold what is lost on a harder version of a task against what may be lost."""
    for name, dice in ours.items():
        task = TASKS[name]
        if task.against is not None and task.loss is not None and task.against in ours:
            lost = ours[task.against] - dice
            yield Verdict(
                f"{name}: Dice within {task.loss:g} of {task.against}",
                f"{dice:.4f}, lost {lost:+.4f}",
                lost <= task.loss,
            )


def scores_table(scores: Sequence[Score]) -> str:
    """Return a table of each task's median Dice, F1 of objects and, in brackets, range."""
    systems = [name for name in SYSTEMS if any(score.system == name for score in scores)]
    rows = [["task", *systems]]
    for name in TASKS:
        cells = [_cell(_of(scores, system, name)) for system in systems]
        if any(cells):
            rows.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def _cell(scores: Sequence[Score]) -> str:
    if not scores:
        return ""
    if all(score.failure for score in scores):
        return "failed"
    values = [score.mean_dice for score in scores]
    objects = [score.object_f1 for score in scores if score.object_f1 is not None]
    shown = f"{median(values):.4f} ({min(values):.3f}-{max(values):.3f})"
    return f"{shown} F1 {median(objects):.3f}" if objects else shown


def _line(score: Score) -> str:
    about = f"{score.task} {score.system} {score.seed}"
    return f"{about:32} {score.failure or _cell([score])}"


if __name__ == "__main__":
    sys.exit(run_script(main))

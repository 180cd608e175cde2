"""`unetrt train`: a data set in, a trained model.keras out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unetrt.cli.shell import AsJson, emit, table
from unetrt.errors import BadInput

if TYPE_CHECKING:
    from rich.table import Table

    from unetrt.artifacts import KerasFile
    from unetrt.builder.plan import Plan
    from unetrt.data import Dataset, Sample
    from unetrt.progress import Progress

__all__ = ["evaluate_into", "planned", "train", "train_into"]

Data = Annotated[str, typer.Argument(help='"brain", or a folder of images/ and labels/.')]
Out = Annotated[Path, typer.Option("--out", help="Folder for the model and its history.")]
Minutes = Annotated[float | None, typer.Option(min=0.05, help="Time for training: 3 minutes.")]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Train so many epochs, however long they take.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of weights, crops and augmentation.")]
Preset = Annotated[
    str, typer.Option(help="The network: auto (by the data), small, article or paper.")
]
Loss = Annotated[
    str | None, typer.Option(help="ce_dice, ce, dice, focal, tversky, or the paper's border.")
]
Crop = Annotated[int | None, typer.Option(min=1, help="Side of the training crops, in pixels.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Crops a step.")]
Ema = Annotated[
    float | None, typer.Option(help="Keep a moving average of the weights, of this momentum: 0.99.")
]
Patience = Annotated[
    int | None, typer.Option(min=1, help="Stop after so many epochs without a better one.")
]
DeepSupervision = Annotated[
    int | None, typer.Option(min=0, help="Judge so many inner blocks of the network too.")
]
Devices = Annotated[str | None, typer.Option(help="one, or all: each takes a share of a batch.")]
MixedPrecision = Annotated[
    bool, typer.Option("--mixed-precision", help="Compute in float16 where it is safe (GPUs).")
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Evaluate flipped and turned test images too, apart.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")]
Restart = Annotated[bool, typer.Option("--restart", help="Begin again over an interrupted one.")]

_OVERLAYS = 6
_TRAIN_IMAGES = 50
"""Training images that are evaluated: enough to see overfitting by."""


def train(
    data: Data,
    out: Out,
    minutes: Minutes = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    preset: Preset = "auto",
    loss: Loss = None,
    crop: Crop = None,
    batch: Batch = None,
    ema: Ema = None,
    patience: Patience = None,
    deep_supervision: DeepSupervision = None,
    devices: Devices = None,
    mixed_precision: MixedPrecision = False,
    tta: Tta = False,
    resume: Resume = False,
    restart: Restart = False,
    as_json: AsJson = False,
) -> None:
    """Train a U-Net on a data set.

    Leaves OUT/model.keras, history.csv, metrics.json, overlays/ and logs/ for TensorBoard. An
    interrupted training goes on with --resume and the same options.
    """
    from unetrt import vendor
    from unetrt.data import load_dataset
    from unetrt.files import output_folder
    from unetrt.progress import Progress

    if resume and restart:
        raise BadInput("Cannot both go on and begin again", expected="--resume or --restart")
    progress = Progress()
    vendor.need("tensorflow", extra="train", purpose="Training")
    with progress.step("data", f"Reading {data}"):
        dataset = load_dataset(data)
    output_folder(out)
    with progress.step("load", "Loading TensorFlow"):
        vendor.keras()
    given = {
        "minutes": minutes,
        "epochs": epochs,
        "loss": loss,
        "crop": crop,
        "batch": batch,
        "ema": ema,
        "patience": patience,
        "deep_supervision": deep_supervision,
        "devices": devices,
        "dtype_policy": "mixed_float16" if mixed_precision else "float32",
    }
    plan = planned(dataset, progress, preset=preset, seed=seed, **given)
    if crop not in (None, plan.training.crop):
        progress.say(f"Crops of {plan.training.crop} pixels: the network cannot take {crop}")
    try:
        file = train_into(out, dataset, plan, progress, resume=resume, restart=restart)
    except KeyboardInterrupt:
        progress.say("Stopped. The same command with --resume goes on from the last epoch")
        raise
    metrics = evaluate_into(out, file, dataset, progress, tta=tta)
    emit(
        {"model": str(file.path), "sha256": file.sha256, "metrics": metrics},
        as_json=as_json,
        shown=[_scores(metrics), f"Wrote {file.path}"],
    )


def planned(data: Dataset, progress: Progress, *, preset: Any = "auto", **given: Any) -> Plan:
    """Choose network and training by the data, except for what is given, and show both."""
    from rich.console import Console

    from unetrt.builder.plan import plan
    from unetrt.data.fingerprint import fingerprint

    with progress.step("plan", f"Looking at {data.name}"):
        found = fingerprint(data)
        chosen = plan(found, preset=preset, **given)
    rows = [[name, value, ""] for name, value in found.rows()]
    rows += [list(choice) for choice in chosen.reasons]
    shown = table(f"{data.name}, and how it is trained on", ["", "", "why"], rows)
    for column in shown.columns:
        column.justify = "left"
    Console(stderr=True, highlight=False).print(shown)
    return chosen


def train_into(
    run: Path,
    data: Dataset,
    plan: Plan,
    progress: Progress,
    *,
    resume: bool = False,
    restart: bool = False,
) -> KerasFile:
    """Train, keeping RUN/model.keras and RUN/history.csv up to date after every epoch."""
    from unetrt import vendor
    from unetrt.artifacts import KerasFile
    from unetrt.builder import Epoch, RunFolder, build_unet
    from unetrt.builder import train as train_model

    folder = RunFolder(run)
    if resume and folder.finished and not (run / "metrics.json").exists():
        progress.say("Training had come to its end; what is left is to evaluate")
        return KerasFile.load(folder.model)
    if restart:
        folder.forget()
    if not resume:
        folder.begin()
        (run / "metrics.json").unlink(missing_ok=True)  # it would describe another model
    vendor.keras().utils.set_random_seed(plan.training.seed)
    model = build_unet(plan.unet)

    def say(epoch: Epoch, best: bool) -> None:
        progress.say(
            f"epoch {epoch.epoch:3d}  loss {epoch.loss:.3f}  validation Dice {epoch.val_dice:.4f}"
            f"{' *' if best else '  '}  elapsed {epoch.elapsed_s:.0f} s"
            f"  remaining {epoch.remaining_s:.0f} s"
        )

    with progress.step("train", f"Training on {len(data.train)} images of {data.name}"):
        train_model(
            model,
            data,
            plan.training,
            run=run,
            resume=resume,
            made_with={"network": asdict(plan.unet)},
            on_epoch=say,
            on_step=progress.tick,
        )
    return KerasFile.load(folder.model)


def evaluate_into(
    run: Path, file: KerasFile, data: Dataset, progress: Progress, *, tta: bool = False
) -> dict[str, Any]:
    """Write RUN/metrics.json and RUN/overlays/: how the best model does on unseen images.

    The training images' figures are of at most 50 of them.
    """
    from unetrt.builder import evaluate, load_model
    from unetrt.data import write_image
    from unetrt.data.writing import panels
    from unetrt.files import write_text
    from unetrt.sizes import as_batch

    with progress.step("evaluate", "Evaluating the best epoch"):
        model, _ = load_model(file.path)
        splits = {"train": _some(data.train, _TRAIN_IMAGES), "val": data.val, "test": data.test}
        if tta:
            splits["test_tta"] = data.test
        metrics = {
            name: evaluate(
                model,
                samples,
                data.classes,
                tta=name.endswith("_tta"),
                thorough=True,
                on_sample=_ticking(name, len(samples), progress),
            ).to_json()
            for name, samples in splits.items()
        }
        for sample in _some(data.test, _OVERLAYS):
            height, width = sample.label.shape
            x = as_batch(sample.image, file.sizes)
            classes = model.predict_on_batch(x)[0].argmax(axis=-1)
            write_image(
                run / "overlays" / f"{sample.name}.png",
                panels(sample.image, sample.label, classes[:height, :width]),
            )
        write_text(run / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    return metrics


def _some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most so many, evenly spread."""
    return samples[:: -(-len(samples) // most)]


def _ticking(name: str, count: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress.tick(f"{name} images, {done}/{count}")


def _scores(metrics: dict[str, Any]) -> Table:
    """Show the Dice of every split that was evaluated, class by class, pooled over its pixels."""
    names = list(metrics["test"]["dice"])
    rows = [
        [
            split,
            *(f"{found['dice'][name]:.4f}" for name in names),
            f"{found['per_image_foreground']:.4f}",
        ]
        for split, found in metrics.items()
    ]
    return table("Dice", ["images", *names, "mean of images"], rows)

"""`unetrt train`: train a network on a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import unetrt
from unetrt import vendor
from unetrt.builder.plan import Preset, TrainingPlan
from unetrt.builder.train_spec import LossName
from unetrt.cli.output import ShownProgress, emit, table
from unetrt.cli.shell import AsJson, refuse_options
from unetrt.errors import BadInput
from unetrt.progress import Progress

if TYPE_CHECKING:
    from unetrt.builder.history import TrainResult
    from unetrt.metrics import Metrics

__all__ = ["emit_result", "resumable", "show_plan", "train"]

Data = Annotated[str, typer.Argument(help='"brain", or a folder of images/ and labels/.')]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the model and its history; run, if there is none yet."),
]
Minutes = Annotated[float | None, typer.Option(min=0.05, help="Time for training: 3 minutes.")]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Train so many epochs, however long they take.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of weights, crops and augmentation.")]
Network = Annotated[Preset, typer.Option(help="The network; auto chooses it by the data.")]
Loss = Annotated[
    LossName | None, typer.Option(help="What is minimised; border is the U-Net paper's.")
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
Folds = Annotated[
    int | None,
    typer.Option(
        min=2,
        help="Train so many times, each validated on other files, and average the networks. "
        "Minutes are for all of them together, epochs for each.",
    ),
]
Tta = Annotated[
    bool, typer.Option("--tta", help="Evaluate flipped and turned test images too, apart.")
]
_RUN = Path("run")

Start = Annotated[
    Path | None,
    typer.Option(
        "--from", help="Start from this .keras, whatever made it, not from a new network."
    ),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(help="Leave layers of this pattern as they are: 'down*', 'up1/conv2'."),
]
Restart = Annotated[bool, typer.Option("--restart", help="Begin again over an interrupted one.")]


def train(
    data: Data,
    out: Out = None,
    minutes: Minutes = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    preset: Network = "auto",
    start: Start = None,
    freeze: Freeze = None,
    loss: Loss = None,
    crop: Crop = None,
    batch: Batch = None,
    ema: Ema = None,
    patience: Patience = None,
    deep_supervision: DeepSupervision = None,
    devices: Devices = None,
    mixed_precision: MixedPrecision = False,
    folds: Folds = None,
    tta: Tta = False,
    restart: Restart = False,
    as_json: AsJson = False,
) -> None:
    """Train a U-Net on a data set.

    Leaves OUT/model.keras, history.csv, metrics.json, report.html, overlays/ and logs/ for
    TensorBoard. What is interrupted goes on by `unetrt resume OUT`.
    """
    if epochs is not None:
        refuse_options("A training by --epochs", minutes=minutes)
    if start is not None:
        preset_given = None if preset == "auto" else preset
        refuse_options(
            "A training that starts --from a model",
            preset=preset_given,
            mixed_precision=mixed_precision,
        )
    if out is None and not restart and _RUN.exists():
        raise BadInput(f"There is a folder {_RUN} already", hint="name another one with `out`")
    progress = ShownProgress()
    vendor.need("tensorflow", extra="train", purpose="Training")
    with progress.step("data", f"Reading {data}"):
        dataset = unetrt.load_dataset(data)
    with progress.step("plan", f"Looking at {dataset.name}"):
        plan = unetrt.plan(
            dataset,
            preset=preset,
            dtype_policy="mixed_float16" if mixed_precision else "float32",
            start=start,
            freeze=tuple(freeze or ()) or None,
            minutes=minutes,
            epochs=epochs,
            seed=seed,
            loss=loss,
            crop=crop,
            batch=batch,
            ema=ema,
            patience=patience,
            deep_supervision=deep_supervision,
            devices=devices,
        )
    show_plan(plan)
    run = out or _RUN
    with resumable(run, progress):
        result = unetrt.train(
            dataset, run, plan, folds=folds, restart=restart, tta=tta, progress=progress
        )
    emit_result(result, as_json=as_json)


@contextmanager
def resumable(run: Path, progress: Progress) -> Iterator[None]:
    """Say how a training goes on that is stopped by Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        progress.say(f"Stopped. It goes on from the last epoch by: unetrt resume {run}")
        raise


def emit_result(result: TrainResult, *, as_json: bool) -> None:
    """Print what a training came to."""
    assert result.file is not None  # noqa: S101  (a folder was given)
    metrics = {name: found.to_json() for name, found in result.metrics.items()}
    emit(
        {"model": str(result.file.path), "sha256": result.file.sha256, "metrics": metrics},
        as_json=as_json,
        shown=[_scores(result.metrics), f"Wrote {result.file.path}"],
    )


def show_plan(plan: TrainingPlan) -> None:
    """Print on stderr what the data are like, and how they are trained on."""
    rows: list[list[Any]] = [[name, value, ""] for name, value in plan.found.rows()]
    rows += [list(choice) for choice in plan.reasons]
    shown = table(f"{plan.found.name}, and how it is trained on", ["", "", "why"], rows)
    for column in shown.columns:
        column.justify = "left"
    Console(stderr=True, highlight=False).print(shown)


def _scores(metrics: Mapping[str, Metrics]) -> Table:
    """Show the Dice of every split that was evaluated, class by class, pooled over its pixels."""
    names = list(metrics["test"].dice)
    rows = [
        [
            split,
            *(f"{found.dice[name]:.4f}" for name in names),
            f"{found.per_image_foreground:.4f}",
            str(found.mean_dice),
        ]
        for split, found in metrics.items()
    ]
    return table("Dice", ["images", *names, "mean of images", "mean of files (95 %)"], rows)

"""`unetrt train`: a data set in, a trained model.keras out."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unetrt.commands.shell import AsJson, emit, guarded, table

if TYPE_CHECKING:
    from unetrt.artifacts import KerasFile
    from unetrt.builder import Epoch, TrainSpec
    from unetrt.data import Dataset
    from unetrt.progress import Progress

__all__ = ["train", "train_into"]

Data = Annotated[str, typer.Argument(help='"brain", or a folder of images/ and labels/.')]
Out = Annotated[Path, typer.Option("--out", help="Folder for the model and its history.")]
Minutes = Annotated[float, typer.Option(min=0.05, help="Time for training.")]
Epochs = Annotated[int | None, typer.Option(help="Train so many epochs, however long they take.")]
Seed = Annotated[int, typer.Option(help="Of weights, crops and augmentation.")]

_OVERLAYS = 6


@guarded
def train(
    data: Data,
    out: Out,
    minutes: Minutes = 3.0,
    epochs: Epochs = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Train a small U-Net on a data set.

    Leaves OUT/model.keras, history.csv, metrics.json and overlays/.
    """
    from unetrt import vendor
    from unetrt.data import load_dataset
    from unetrt.files import output_folder
    from unetrt.progress import Progress

    progress = Progress()
    vendor.need("tensorflow", extra="train", purpose="Training")
    with progress.step("data", f"Reading {data}"):
        dataset = load_dataset(data)
    output_folder(out)
    vendor.keras()
    from unetrt.builder import TrainSpec

    spec = TrainSpec(minutes=minutes, epochs=epochs, seed=seed)
    file = train_into(out, dataset, spec, progress)
    metrics = evaluate_into(out, file, dataset, progress)
    rows = [[name, f"{dice:.4f}"] for name, dice in metrics["test"].items()]
    emit(
        {"model": str(file.path), "sha256": file.sha256, "dice": metrics},
        as_json=as_json,
        shown=[table("Dice on the test images", ["class", "Dice"], rows), f"Wrote {file.path}"],
    )


def train_into(run: Path, data: Dataset, spec: TrainSpec, progress: Progress) -> KerasFile:
    """Train, keeping RUN/model.keras and RUN/history.csv up to date after every epoch."""
    from unetrt import vendor
    from unetrt.builder import UNetSpec, build_unet, save_model
    from unetrt.builder import train as train_model

    (run / "metrics.json").unlink(missing_ok=True)  # it would describe another model
    keras = vendor.keras()
    keras.utils.set_random_seed(spec.seed)
    mean, std = data.pixel_statistics()
    model = build_unet(UNetSpec.small(data.channels, len(data.classes), mean=mean, std=std))
    history: list[Epoch] = []
    saved: list[KerasFile] = []

    def keep(epoch: Epoch, best: bool) -> None:
        history.append(epoch)
        _write_history(run / "history.csv", history)
        if best:
            saved[:] = [
                save_model(
                    model,
                    run / "model.keras",
                    classes=data.classes,
                    source={"data": data.name, "images": len(data.train)},
                    made_with={"spec": asdict(spec), "epoch": epoch.epoch},
                )
            ]
        progress.say(
            f"epoch {epoch.epoch:3d}  loss {epoch.loss:.3f}  validation Dice {epoch.val_dice:.4f}"
            f"  elapsed {epoch.elapsed_s:.0f} s  remaining {epoch.remaining_s:.0f} s"
        )

    title = f"Training on {len(data.train)} images of {data.name}"
    with progress.step("train", title):
        train_model(model, data, spec, on_epoch=keep, on_step=progress.tick)
    return saved[0]


def evaluate_into(run: Path, file: KerasFile, data: Dataset, progress: Progress) -> dict[str, Any]:
    """Write RUN/metrics.json and RUN/overlays/: how the best model does on unseen images."""
    from unetrt.builder import evaluate, load_model
    from unetrt.data import write_image
    from unetrt.data.overlay import panels
    from unetrt.files import write_text
    from unetrt.padding import as_batch

    with progress.step("evaluate", "Evaluating the best epoch"):
        model, _ = load_model(file.path)
        metrics = {
            name: evaluate(model, samples, data.classes).to_json()
            for name, samples in (("val", data.val), ("test", data.test))
        }
        write_text(run / "metrics.json", json.dumps(metrics, indent=1) + "\n")
        for sample in data.test[:: max(1, len(data.test) // _OVERLAYS)][:_OVERLAYS]:
            height, width = sample.label.shape
            x = as_batch(sample.image, file.size_multiple)
            classes = model.predict_on_batch(x)[0].argmax(axis=-1)
            write_image(
                run / "overlays" / f"{sample.name}.png",
                panels(sample.image, sample.label, classes[:height, :width]),
            )
    return metrics


def _write_history(path: Path, history: list[Epoch]) -> None:
    from unetrt.files import write_text

    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(history[0])], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    write_text(path, text.getvalue())

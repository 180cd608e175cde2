"""`unetrt verify`: does an artifact agree with its reference on real images?"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from unetrt.commands.shell import AsJson, emit, first_failure, guarded, table

__all__ = ["verify"]


@guarded
def verify(
    reference: Annotated[Path, typer.Argument(help="MODEL.keras, or an ONNX file.")],
    candidates: Annotated[list[Path], typer.Argument(help="ONNX files and engines.")],
    data: Annotated[str, typer.Option(help='"brain", or a folder; its test images.')] = "brain",
    as_json: AsJson = False,
) -> None:
    """Check artifacts against a reference on real images.

    Dice per class, and the largest difference of a probability; exit status 1 if one is off.
    """
    from unetrt.commands.predictors import check_fit, common_multiple, open_all
    from unetrt.data import load_dataset
    from unetrt.parity import TOLERANCES, compare
    from unetrt.progress import Progress

    progress = Progress()
    with ExitStack() as stack:
        with progress.step("open", "Opening the artifacts"):
            first, *others = open_all(stack, [reference, *candidates])
        with progress.step("data", f"Reading {data}"):
            dataset = load_dataset(data)
        check_fit([first, *others], dataset)
        with progress.step("verify", f"Comparing on {len(dataset.test)} images"):
            parities = compare(
                (first.name, first.predict),
                {other.name: other.predict for other in others},
                dataset.test,
                dataset.classes,
                common_multiple([first, *others]),
                on_sample=lambda done: progress.tick(f"{done}/{len(dataset.test)} images"),
            )
    keys = list(parities[first.name].dice)
    rows = [
        [name, *(f"{p.dice[key]:.4f}" for key in keys), f"{p.max_abs_diff:.1e}"]
        for name, p in parities.items()
    ]
    emit(
        {name: asdict(parity) for name, parity in parities.items()},
        as_json=as_json,
        shown=[table("Dice and largest difference", ["", *keys, "max |diff|"], rows)],
        failure=first_failure(
            lambda other: parities[other.name].check(TOLERANCES[other.precision]), others
        ),
    )

"""`unetrt verify`: does an artifact agree with its reference on real images?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetrt.cli.output import emit, first_failure, table
from unetrt.cli.shell import AsJson

if TYPE_CHECKING:
    from unetrt.cli.predictors import Predictor
    from unetrt.parity import Parity

__all__ = ["verify"]


def verify(
    reference: Annotated[Path, typer.Argument(help="MODEL.keras, or an ONNX file.")],
    candidates: Annotated[
        list[Path] | None, typer.Argument(help="ONNX files and engines; none: see below.")
    ] = None,
    data: Annotated[str, typer.Option(help='"brain", or a folder; its test images.')] = "brain",
    as_json: AsJson = False,
) -> None:
    """Check artifacts against a reference on real images.

    Dice per class, and the largest difference of a probability; exit status 1 if one is off, and
    the first layer at which it parts. An ONNX file or engine alone is checked against what Keras
    said of the small image that the file carries: no data and no TensorFlow are needed.
    """
    if not candidates:
        _verify_alone(reference, as_json=as_json)
        return
    from unetrt.cli.parting import find_parting
    from unetrt.cli.predictors import check_fit, common_sizes, open_all
    from unetrt.data import load_dataset
    from unetrt.parity import compare
    from unetrt.progress import ConsoleProgress
    from unetrt.sizes import as_batch

    progress = ConsoleProgress()
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
                common_sizes([first, *others]),
                on_sample=lambda done: progress.tick(f"{done}/{len(dataset.test)} images"),
            )
        failures = {o.name: first_failure(_checked(parities), [o]) for o in others}
        failed = [other for other in others if failures[other.name] is not None]
        samples = {sample.name: sample for sample in dataset.test}
        sizes = common_sizes([first, *others])
        parted = {}
        for other in failed:
            sample = samples.get(parities[other.name].worst, dataset.test[0])
            with progress.step("verify", f"Looking for the layer at which {other.name} parts"):
                x = as_batch(sample.image, sizes)
                parted[other.name] = find_parting(first.path, other.path, x)
    keys = list(parities[first.name].dice)
    rows = [
        [name, *(f"{p.dice[key]:.4f}" for key in keys), _shown(p.max_abs_diff)]
        for name, p in parities.items()
    ]
    emit(
        {
            name: asdict(parity) | ({"parted": parted[name]} if name in parted else {})
            for name, parity in parities.items()
        },
        as_json=as_json,
        shown=[
            table("Dice and largest difference", ["", *keys, "max |diff|"], rows),
            *(found["said"] for found in parted.values()),
        ],
        failure=next((failures[other.name] for other in failed), None),
    )


def _verify_alone(path: Path, *, as_json: bool) -> None:
    from unetrt.cli.predictors import KERAS, runnable
    from unetrt.errors import BadInput
    from unetrt.runtime import open_session

    if path.suffix in KERAS:
        raise BadInput(
            f"Nothing to compare {path} with",
            expected="ONNX files or engines behind it, or one of them alone",
        )
    with runnable(path) as file, open_session(file) as session:
        found, info = session.self_test(), session.info
    place = f"on {info['backend']}, computed in {info['computes_in']}"
    size = f"{found.height} x {found.width}"
    told = [f"{path} agrees with Keras on its golden image of {size}, {place}"]
    if found.max_abs_diff is not None:
        told.append(f"largest difference {found.max_abs_diff:.1e}")
    if found.labels_that_differ is not None:
        told.append(f"labels that differ {found.labels_that_differ:.1%}")
    emit(
        {"artifact": str(path), "self_test": asdict(found), "session": info},
        as_json=as_json,
        shown=["; ".join(told)],
    )


def _checked(parities: dict[str, Parity]) -> Callable[[Predictor], None]:
    return lambda other: parities[other.name].check(other.precision.tolerance)


def _shown(difference: float | None) -> str:
    return "labels" if difference is None else f"{difference:.1e}"

"""`unetrt verify`: check artifacts against a reference on real images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from unetrt.artifacts import KerasFile
from unetrt.cli.output import ShownProgress, emit, first_failure, table
from unetrt.cli.shell import AsJson, refuse_options
from unetrt.data import load_dataset
from unetrt.errors import BadInput
from unetrt.parity import Parity
from unetrt.predictors import runnable
from unetrt.runtime import open_session
from unetrt.verification import Search, find_divergence, verify_all

__all__ = ["verify"]


def verify(
    reference: Annotated[Path, typer.Argument(help="MODEL.keras, or an ONNX file.")],
    candidates: Annotated[
        list[Path] | None, typer.Argument(help="ONNX files and engines; none: see below.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help='"brain", which is the default, or a folder; its test images.'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check artifacts against a reference on real images.

    Dice per class, and the largest difference of a probability; exit status 1 if one is off, and
    the first layer at which it diverges. An ONNX file or engine alone is checked against what Keras
    predicted for the golden sample that the file carries: no data and no TensorFlow are needed.
    """
    if not candidates:
        refuse_options("The check of one artifact alone", data=data)
        _verify_alone(reference, as_json=as_json)
        return
    progress = ShownProgress()
    with progress.step("data", f"Reading {data or 'brain'}"):
        dataset = load_dataset(data or "brain")
    parities = verify_all(reference, candidates, dataset, progress=progress)
    paths = dict(zip(parities, [reference, *candidates], strict=True))
    others = list(parities.values())[1:]
    failures = {parity.name: first_failure(Parity.check, [parity]) for parity in others}
    failed = [parity for parity in others if failures[parity.name] is not None]
    found = {}
    for parity in failed:
        with progress.step("verify", f"Looking for the layer at which {parity.name} diverges"):
            candidate = paths[parity.name]
            found[parity.name] = find_divergence(reference, candidate, dataset, parity.worst)
    emit(
        {name: asdict(parity) | _searched(found.get(name)) for name, parity in parities.items()},
        as_json=as_json,
        shown=[_table(parities), *(search.sentence for search in found.values())],
        failure=next((failures[parity.name] for parity in failed), None),
    )


def _searched(search: Search | None) -> dict[str, Any]:
    if search is None:
        return {}
    layer = {"layer": None} if search.divergence is None else asdict(search.divergence)
    return {"divergence": {**layer, "sentence": search.sentence}}


def _table(parities: Mapping[str, Parity]) -> Table:
    keys = list(next(iter(parities.values())).dice)
    rows = [
        [name, *(f"{p.dice[key]:.4f}" for key in keys), _difference(p.max_abs_diff)]
        for name, p in parities.items()
    ]
    return table("Dice and largest difference", ["", *keys, "max |diff|"], rows)


def _difference(largest: float | None) -> str:
    return "labels" if largest is None else f"{largest:.1e}"


def _verify_alone(path: Path, *, as_json: bool) -> None:
    if path.suffix in KerasFile.SUFFIXES:
        raise BadInput(
            f"Nothing to compare {path} with",
            expected="ONNX files or engines behind it, or one of them alone",
        )
    with runnable(path) as file, open_session(file) as session:
        found, info = session.self_test(), session.info
    place = f"on {info['backend']}, computed in {info['computes_in']}"
    size = f"{found.height} x {found.width}"
    told = [f"{path} agrees with Keras on its golden sample of {size}, {place}"]
    if found.max_abs_diff is not None:
        told.append(f"largest difference {found.max_abs_diff:.1e}")
    if found.labels_that_differ is not None:
        told.append(f"labels that differ {found.labels_that_differ:.1%}")
    emit(
        {"artifact": str(path), "self_test": asdict(found), "session": info},
        as_json=as_json,
        shown=["; ".join(told)],
    )

"""The files that a case's cells run: filled skeletons, and engines made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import UnsupportedModel

from .cells import CHANNELS, N_CLASSES, Cell
from .present import ENGINES

__all__ = ["SEED", "BuildEngine", "Fill", "artifact_of"]

SEED = 0
"""Of the weights: the same network in every precision and on every library."""

Fill = Callable[..., OnnxModel]
"""`skeleton.fill_skeleton`."""

BuildEngine = Callable[[OnnxModel, Path, Cell], Engine]
"""Builds for the cell's backend, size and batch alone; TF32 where its precision is "tf32"."""


def artifact_of(cell: Cell, folder: Path, fill: Fill, build: BuildEngine) -> OnnxModel | Engine:
    """Return the file that a cell runs, made now unless it lies in `folder`.

    The ONNX file is of the cell's size, its batch free; an engine is of both alone.

    Raises:
        UnsupportedModel: TF32 on a library for which it is no precision of a file.
        BadInput, ShapeError, ...: what filling and building raise.
    """
    typed = "fp32" if cell.precision == "tf32" else cell.precision
    if cell.precision == "tf32" and cell.backend not in ENGINES:
        raise UnsupportedModel(
            f"{cell.backend} has no TF32 to be chosen for a file", expected=" or ".join(ENGINES)
        )
    source = folder / f"{cell.network}.{cell.side}.{typed}.onnx"
    model = (
        OnnxModel.load(source)
        if source.exists()
        else fill(
            cell.network,
            source,
            precision=typed,
            height=cell.side,
            width=cell.side,
            channels=CHANNELS,
            n_classes=N_CLASSES,
            seed=SEED,
        )
    )
    if cell.backend not in ENGINES:
        return model
    path = (
        folder / f"{cell.network}.{cell.side}.{cell.batch}.{cell.precision}.{cell.backend}.engine"
    )
    return Engine.load(path) if path.exists() else build(model, path, cell)

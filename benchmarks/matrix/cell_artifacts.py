"""The files that a case's cells run: filled skeletons, and engines made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import UnsupportedModel

from .cells import CHANNELS, N_CLASSES, Cell
from .present import ENGINES

__all__ = ["SEED", "BuildEngine", "Fill", "artifact_of", "network_of"]

SEED = 0
"""Of the weights: the same network in every precision and on every library."""

Fill = Callable[..., OnnxModel]
"""`skeleton.fill_skeleton`."""

BuildEngine = Callable[[OnnxModel, Path, Cell], Engine]
"""Builds for the cell's backend, size and batch alone; TF32 where its precision is "tf32"."""


def network_of(cell: Cell, folder: Path, fill: Fill, *, precision: str = "") -> OnnxModel:
    """Return the ONNX file of a cell's network and size, filled now unless it lies in `folder`.

    It is in the cell's precision unless another is asked for; TF32 is arithmetic on a float32 file.

    Raises:
        BadInput, ShapeError, ...: what filling raises.
    """
    typed = precision or ("fp32" if cell.precision == "tf32" else cell.precision)
    path = folder / f"{cell.network}.{cell.side}.{typed}.onnx"
    if path.exists():
        return OnnxModel.load(path)
    return fill(
        cell.network,
        path,
        precision=typed,
        height=cell.side,
        width=cell.side,
        channels=CHANNELS,
        n_classes=N_CLASSES,
        seed=SEED,
    )


def artifact_of(
    cell: Cell, network: OnnxModel, folder: Path, build: BuildEngine
) -> OnnxModel | Engine:
    """Return what a cell runs: the network's file, or an engine of it for the cell's batch alone.

    Raises:
        UnsupportedModel: TF32 on a library for which it is no precision of a file.
        UnsupportedModel, NoDevice, ...: what building raises.
    """
    if cell.backend in ENGINES:
        words = (cell.network, cell.side, cell.batch, cell.precision, cell.backend, "engine")
        path = folder / ".".join(map(str, words))
        return Engine.load(path) if path.exists() else build(network, path, cell)
    if cell.precision == "tf32":
        raise UnsupportedModel(
            f"{cell.backend} has no TF32 to be chosen for a file", expected=" or ".join(ENGINES)
        )
    return network

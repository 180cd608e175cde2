"""Run one case of the matrix in a process that may crash: its files, its ceilings, its timing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import UnsupportedModel
from unetrt.files import write_text
from unetrt.runtime import SessionSpec, open_session
from unetrt.tensors import ShapeRange

from ..inputs import TimedInput, random_input
from ..networks.skeletons import fill_skeleton
from ..peers.peers import peers_named
from ..roofline.ceilings import ceilings_of
from ..roofline.roofline import Roofline
from .case import CaseTimer, Way, row_roofline, time_case
from .cells import CHANNELS, ENGINES, N_CLASSES, Cell
from .matrix import Found
from .ways import PeerWay, SessionWay

__all__ = ["artifact_of", "network_of"]

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


def main() -> None:
    """Time the cells that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    cells = [Cell(**fields) for fields in json.loads(given.cells)]
    result = given.out / "result.json"

    def note(at: str, found: Found) -> None:
        write_text(result, json.dumps({"at": at, **found.to_json()}))

    first = cells[0]
    pixels = random_input(
        batch=first.batch, height=first.side, width=first.side, channels=CHANNELS, seed=SEED
    )
    timer = CaseTimer(
        pixels,
        samples=given.samples,
        seconds=given.seconds,
        scopes=len({cell.scope for cell in cells}),
    )
    note("", time_case(cells, Opener(given.work, pixels), timer, note))


class Opener:
    """Opens cells on one input; see `case.OpenWay`."""

    def __init__(self, work: Path, timed_input: TimedInput) -> None:
        self._work, self._input = work, timed_input

    def __call__(self, cell: Cell) -> Way:
        """Fill, build and open what a cell runs."""
        if cell.peer:
            (peer,) = peers_named((cell.peer,))
            typed = "" if peer.precision is None else "fp32"
            network = network_of(cell, self._work, fill_skeleton, precision=typed)
            return PeerWay(cell, network, self._input, _limits(network, cell, peer.device))
        network = network_of(cell, self._work, fill_skeleton)
        artifact = artifact_of(cell, network, self._work, _build)
        on_engine = cell.backend in ENGINES
        spec = SessionSpec(backend="auto" if on_engine else cell.backend)
        session = open_session(artifact, spec)
        device = "cpu" if session.info["device"] == "CPU" else "gpu"
        return SessionWay(cell, session, self._input, _limits(network, cell, device))


def _build(network: OnnxModel, path: Path, cell: Cell) -> Engine:
    from unetrt.convert.to_engine import EngineSpec, build_engine  # noqa: PLC0415  (a GPU's alone)

    batch, side = (ShapeRange(n, n, n) for n in (cell.batch, cell.side))
    spec = EngineSpec(
        backend=cell.backend, batch=batch, height=side, width=side, tf32=cell.precision == "tf32"
    )
    return build_engine(network, path, spec)


def _limits(network: OnnxModel, cell: Cell, device: str) -> Callable[[str], Roofline | None]:
    ceilings, _why = ceilings_of(device)
    if ceilings is None:
        return lambda _type: None
    return lambda computes_in: row_roofline(network, cell, computes_in, ceilings)


if __name__ == "__main__":
    main()

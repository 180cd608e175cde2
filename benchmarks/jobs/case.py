"""One case of the matrix, in a process that may crash.

    python -m unetrt.benchmarks.jobs.case --cells JSON --seconds S --work FOLDER --out FOLDER

Its result.json says what it found so far, and at which cell it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from unetrt.artifacts import Engine, OnnxModel
from unetrt.files import write_text
from unetrt.runtime import SessionSpec, open_session
from unetrt.tensors import ShapeRange

from ..matrix.case import Way, time_case
from ..matrix.case_timing import CaseTimer
from ..matrix.cell_artifacts import SEED, artifact_of, network_of
from ..matrix.cell_roofline import row_roofline
from ..matrix.cells import CHANNELS, Cell
from ..matrix.matrix import Found
from ..matrix.present import ENGINES
from ..matrix.ways import PeerWay, SessionWay
from ..measuring.inputs import TimedInput, random_input
from ..peers.peers import peers_named
from ..roofline.ceilings import ceilings_of
from ..roofline.roofline import Roofline
from ..skeletons.skeleton import fill_skeleton

__all__ = ["main"]


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
        write_text(result, json.dumps({"at": at, **asdict(found)}))

    first = cells[0]
    pixels = random_input(
        batch=first.batch, height=first.side, width=first.side, channels=CHANNELS, seed=SEED
    )
    timer = CaseTimer(
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
        return SessionWay(session, self._input, _limits(network, cell, device))


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

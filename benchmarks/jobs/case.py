"""One case of the matrix, in a process that may crash.

    python -m unetrt.benchmarks.jobs.case --cells JSON --seconds S --work FOLDER --out FOLDER

Its result.json says what it found so far, and at which cell it is.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from unetrt.artifacts import Engine, OnnxModel
from unetrt.files import write_text
from unetrt.runtime import SessionSpec, open_session
from unetrt.tensors import ShapeRange

from ..case import Way, time_case
from ..case_timing import take_turns
from ..ceilings import Ceilings, ceilings_of
from ..cell_artifacts import SEED, artifact_of, network_of
from ..cells import CHANNELS, Cell
from ..inputs import TimedInput, random_input
from ..matrix import Found
from ..peers import peers_named
from ..present import ENGINES
from ..skeleton import fill_skeleton
from ..ways import PeerWay, SessionWay

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

    def say(found: Found, at: str) -> None:
        write_text(result, json.dumps({"at": at, **asdict(found)}))

    found = time_case(
        cells,
        Opener(given.work, _input(cells[0])),
        lambda sharing: take_turns(sharing, samples=given.samples, seconds=given.seconds),
        say,
    )
    say(found, "")


def _input(cell: Cell) -> TimedInput:
    return random_input(
        batch=cell.batch, height=cell.side, width=cell.side, channels=CHANNELS, seed=SEED
    )


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
            return PeerWay(cell, network, self._input)
        network = network_of(cell, self._work, fill_skeleton)
        artifact = artifact_of(cell, network, self._work, _build)
        backend = "auto" if cell.backend in ENGINES else cell.backend
        spec = SessionSpec(backend=backend)
        return SessionWay(open_session(artifact, spec), self._input, network, ceilings(cell))


def _build(network: OnnxModel, path: Path, cell: Cell) -> Engine:
    from unetrt.convert.to_engine import EngineSpec, build_engine  # noqa: PLC0415  (a GPU's alone)

    batch, side = (ShapeRange(n, n, n) for n in (cell.batch, cell.side))
    spec = EngineSpec(
        backend=cell.backend, batch=batch, height=side, width=side, tf32=cell.precision == "tf32"
    )
    return build_engine(network, path, spec)


def ceilings(cell: Cell) -> Ceilings | None:
    found, _ = ceilings_of("gpu" if cell.backend in ENGINES or "cuda" in cell.backend else "cpu")
    return found


if __name__ == "__main__":
    main()

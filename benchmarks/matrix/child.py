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
from .case import CaseTimer, OpenedNetwork, row_roofline, time_case
from .matrix import CaseResult
from .matrix_spec import CHANNELS, ENGINES, N_CLASSES, RowSpec
from .opened import OpenedPeer, OpenedSession

__all__ = ["artifact_of", "network_of"]

SEED = 0
"""Of the weights: the same network in every precision and on every library."""

Fill = Callable[..., OnnxModel]
"""Writes a network; `skeletons.fill_skeleton`."""

BuildEngine = Callable[[OnnxModel, Path, RowSpec], Engine]
"""Builds for the row's backend, size and batch alone; TF32 where its precision is "tf32"."""


def network_of(row: RowSpec, folder: Path, fill: Fill, *, precision: str = "") -> OnnxModel:
    """Return the ONNX file of a row's network and size, filled now unless it lies in `folder`.

    It is in the row's precision unless another is asked for; TF32 is arithmetic on a float32 file.

    Raises:
        BadInput, ShapeError, ...: what filling raises.
    """
    typed = precision or ("fp32" if row.precision == "tf32" else row.precision)
    path = folder / f"{row.network}.{row.side}.{typed}.onnx"
    if path.exists():
        return OnnxModel.load(path)
    return fill(
        row.network,
        path,
        precision=typed,
        height=row.side,
        width=row.side,
        channels=CHANNELS,
        n_classes=N_CLASSES,
        seed=SEED,
    )


def artifact_of(
    row: RowSpec, network: OnnxModel, folder: Path, build: BuildEngine
) -> OnnxModel | Engine:
    """Return what a row runs: the network's file, or an engine of it for the row's batch alone.

    Raises:
        UnsupportedModel: TF32 on a library for which it is no precision of a file.
        UnsupportedModel, NoDevice, ...: what building raises.
    """
    if row.backend in ENGINES:
        words = (row.network, row.side, row.batch, row.precision, row.backend, "engine")
        path = folder / ".".join(map(str, words))
        return Engine.load(path) if path.exists() else build(network, path, row)
    if row.precision == "tf32":
        raise UnsupportedModel(
            f"{row.backend} has no TF32 to be chosen for a file", expected=" or ".join(ENGINES)
        )
    return network


def main() -> None:
    """Time the rows that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = [RowSpec(**fields) for fields in json.loads(given.rows)]
    result = given.out / "result.json"

    def keep(at: str, found: CaseResult) -> None:
        write_text(result, json.dumps({"at": at, **found.to_json()}))

    first = rows[0]
    pixels = random_input(
        batch=first.batch, height=first.side, width=first.side, channels=CHANNELS, seed=SEED
    )
    timer = CaseTimer(
        pixels,
        samples=given.samples,
        seconds=given.seconds,
        scopes=len({row.scope for row in rows}),
    )
    keep("", time_case(rows, NetworkOpener(given.work, pixels), timer, keep))


class NetworkOpener:
    """Open rows on one input; see `case.OpenNetwork`."""

    def __init__(self, work: Path, timed_input: TimedInput) -> None:
        self._work, self._input = work, timed_input

    def __call__(self, row: RowSpec) -> OpenedNetwork:
        """Fill, build and open what a row runs."""
        if row.peer:
            (peer,) = peers_named((row.peer,))
            typed = "" if peer.precision is None else "fp32"
            network = network_of(row, self._work, fill_skeleton, precision=typed)
            return OpenedPeer(row, network, self._input, _limits(network, row, peer.device))
        network = network_of(row, self._work, fill_skeleton)
        artifact = artifact_of(row, network, self._work, _build)
        on_engine = row.backend in ENGINES
        session = open_session(artifact, SessionSpec(backend="auto" if on_engine else row.backend))
        device = "cpu" if session.info["device"] == "CPU" else "gpu"
        return OpenedSession(row, session, self._input, _limits(network, row, device))


def _build(network: OnnxModel, path: Path, row: RowSpec) -> Engine:
    from unetrt.convert.to_engine import EngineSpec, build_engine  # noqa: PLC0415  (a GPU's alone)

    batch, side = (ShapeRange(n, n, n) for n in (row.batch, row.side))
    spec = EngineSpec(
        backend=row.backend, batch=batch, height=side, width=side, tf32=row.precision == "tf32"
    )
    return build_engine(network, path, spec)


def _limits(network: OnnxModel, row: RowSpec, device: str) -> Callable[[str], Roofline | None]:
    ceilings, _why = ceilings_of(device)
    if ceilings is None:
        return lambda _type: None
    return lambda computes_in: row_roofline(network, row, computes_in, ceilings)


if __name__ == "__main__":
    main()

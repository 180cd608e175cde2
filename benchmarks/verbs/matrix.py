"""`matrix`: every network, size, batch and precision, with every library that is here."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from unetrt.errors import BadInput, MissingDependency
from unetrt.files import output_folder
from unetrt.progress import Progress

from ..matrix.cells import (
    BATCHES,
    PRECISIONS,
    SCOPES,
    USUAL,
    Wanted,
    cases_of,
    present_backends,
    present_peers,
)
from ..matrix.matrix import Isolated, begin_record, keep_record, measured_ceilings, run_matrix
from ..report import write_report

__all__ = ["RECORD", "add_arguments", "run"]

RECORD = "record.json"
_MINUTES = 30.0
_SAMPLES = 662
"""Of each row: what a 99th percentile takes; see sample_count.py."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--out", type=Path, required=True, help="folder; an earlier run goes on")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="for all of it: 30")
    parser.add_argument("--samples", type=int, default=_SAMPLES, help="of each row: 662, for a p99")
    for name, kind, known in (
        ("networks", str, " ".join(USUAL)),
        ("sizes", int, "each network's own"),
        ("batches", int, " ".join(map(str, BATCHES))),
        ("precisions", str, " ".join(PRECISIONS)),
        ("scopes", str, " ".join(SCOPES)),
        ("backends", str, "all libraries and peers that are here"),
    ):
        parser.add_argument(f"--{name}", nargs="+", type=kind, help=f"by default {known}")


def run(given: argparse.Namespace) -> int:
    """Time what is asked for; write record.json after every case, then the report.

    Raises:
        BadInput: something that the matrix or this machine does not have.
        OutputError: the folder cannot be written.
    """
    cases = cases_of(_wanted(given))
    folder = output_folder(given.out)
    path = folder / RECORD
    command = shlex.join(["python", "-m", "unetrt.benchmarks", *sys.argv[1:]])
    record = begin_record(path, command)
    progress = Progress()
    if record["ceilings"] is None:
        record["ceilings"], said = measured_ceilings(cases)
        progress.say(said)
    with tempfile.TemporaryDirectory(prefix="unetrt-matrix-") as work:
        run_matrix(
            cases,
            record,
            Isolated(Path(work), ("--samples", str(given.samples))),
            minutes=given.minutes,
            keep=lambda grown: keep_record(grown, path),
            say=progress.say,
        )
    try:
        write_report(record, folder)
    except MissingDependency as error:
        progress.say(f"{error} The record is whole; make the page of it elsewhere.")
    sys.stdout.write(f"{len(record['rows'])} rows, {len(record['failures'])} failures: {path}\n")
    return 0


def _wanted(given: argparse.Namespace) -> Wanted:
    backends, peers = present_backends(), present_peers()
    if given.backends is not None:
        unknown = [name for name in given.backends if name not in {*backends, *peers}]
        if unknown:
            raise BadInput(
                "This machine cannot run these",
                got=", ".join(unknown),
                expected=" or ".join(dict.fromkeys((*backends, *peers))) or "something installed",
            )
        backends = tuple(name for name in backends if name in given.backends)
        peers = {name: asked for name, asked in peers.items() if name in given.backends}
    narrowed = {
        name: tuple(getattr(given, name))
        for name in ("networks", "sizes", "batches", "precisions", "scopes")
        if getattr(given, name) is not None
    }
    return Wanted(backends=backends, peers=peers, **narrowed)

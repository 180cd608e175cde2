"""`matrix`: every network, size, batch and precision, with every library that is here."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from unetrt.errors import MissingDependency
from unetrt.files import output_folder

from ..cells import BATCHES, NETWORKS, PRECISIONS, SCOPES, Wanted, cases_of
from ..isolated import Isolated
from ..matrix import run_matrix
from ..present import present_backends
from ..record import new_record, read_record, same_machine, write_record
from ..report import write_report

__all__ = ["RECORD", "add_arguments", "run"]

RECORD = "record.json"
_MINUTES = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--out", type=Path, required=True, help="folder; an earlier run goes on")
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="for all of it (30)")
    for name, kind, known in (
        ("networks", str, tuple(NETWORKS)),
        ("sizes", int, "each network's own"),
        ("batches", int, BATCHES),
        ("precisions", str, PRECISIONS),
        ("scopes", str, SCOPES),
        ("backends", str, "all that are here"),
    ):
        told = known if isinstance(known, str) else " ".join(map(str, known))
        parser.add_argument(f"--{name}", nargs="+", type=kind, help=f"by default {told}")

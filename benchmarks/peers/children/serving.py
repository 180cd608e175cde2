"""Serve a peer from a child: open a network once, then reply to requests, a line of JSON each.

The other side is `peers.open_peer`. The folder that the child is given holds `task.json` and
`input.npy`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.precision import Precision

__all__ = ["Task", "host_times", "serve"]


@dataclass(frozen=True, slots=True)
class Task:
    """Say what to open.

    Attributes:
        onnx: the network; all peers take their weights from it.
        image: its input.
        precision: to compute in: the file's own unless the peer has its own way to another.
        device: "cpu" or "gpu".
        variant: of the peer's ways to run.
        folder: for what the peer writes.
    """

    onnx: Path
    image: NDArray[Any]
    precision: Precision
    device: str
    variant: str
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Task:
        """Read what `open_peer` wrote."""
        task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        task["onnx"] = Path(task["onnx"])
        task["precision"] = Precision.of(task["precision"])
        return cls(image=np.load(folder / "input.npy"), folder=folder, **task)


class Served(Protocol):
    """Hold a network that another tool opened, its input in place, warmed up by one run."""

    @property
    def info(self) -> dict[str, Any]:
        """Return `versions`, `configuration`, `device` and `computes_in`, for the report."""

    def time_runs(self, count: int) -> dict[str, list[int]]:
        """Run so many times; return the nanoseconds of each run by clock, "host" among them."""

    def predict(self) -> NDArray[Any]:
        """Run once; return the output."""


def host_times(run: Callable[[], object], count: int) -> dict[str, list[int]]:
    """Time so many calls by the host's clock."""
    taken = []
    for _ in range(count):
        began = time.perf_counter_ns()
        run()
        taken.append(time.perf_counter_ns() - began)
    return {"host": taken}


def serve(open_network: Callable[[Task], Served]) -> None:
    """Open what the command line names and reply to requests until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--replies", type=int, required=True, help="file descriptor")
    given = parser.parse_args()
    os.set_inheritable(given.replies, False)
    with open(given.replies, "w", encoding="utf-8", buffering=1) as replies:  # noqa: PTH123

        def reply(**fields: Any) -> None:
            replies.write(json.dumps(fields) + "\n")

        try:
            served = open_network(Task.read(given.folder))
            reply(opened=served.info)
            for line in sys.stdin:
                request = json.loads(line)
                reply(**{request["do"]: _result(served, request, given.folder)})
        except Exception as error:
            words = " ".join(str(error).split())
            reply(failed=f"{type(error).__name__}: {words[:600]}")
            raise


def _result(served: Served, request: dict[str, Any], folder: Path) -> Any:
    if request["do"] == "predict":
        np.save(folder / "prediction.npy", served.predict())
        return "prediction.npy"
    gc.collect()
    gc.disable()  # no pause of Python's own inside of a time
    taken = served.time_runs(request["count"])
    gc.enable()
    return taken

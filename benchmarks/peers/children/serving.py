"""The child's side of a peer: open a network once, then answer by lines of JSON.

See worker.py for the other side. The folder it is given holds `task.json` and `input.npy`.
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
    """What to open.

    Attributes:
        onnx: the network; its weights are everybody's.
        image: its input.
        precision: to compute in: the file's own unless the peer has its own way to another.
        device: "cpu" or "gpu".
        variant: which of the job's ways to run.
        threads: of a CPU; None leaves it to the library.
        keras: the same network as a Keras file, if there is one.
        folder: for what the peer writes.
    """

    onnx: Path
    image: NDArray[Any]
    precision: Precision
    device: str
    variant: str
    threads: int | None
    keras: Path | None
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Task:
        """Read what peers.py wrote."""
        task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        for file in ("onnx", "keras"):
            task[file] = None if task[file] is None else Path(task[file])
        task["precision"] = Precision.of(task["precision"])
        return cls(image=np.load(folder / "input.npy"), folder=folder, **task)


class Served(Protocol):
    """A network that another tool opened, with its input in place, warmed up by one run."""

    @property
    def info(self) -> dict[str, Any]:
        """`versions`, `configuration`, `device` and `computes_in`, for the report."""

    def times(self, count: int) -> dict[str, list[int]]:
        """Run so many times; nanoseconds of each run by clock, "host" among them."""

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


def serve(open_peer: Callable[[Task], Served]) -> None:
    """Open what the command line says and answer until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--answers", type=int, required=True, help="file descriptor")
    given = parser.parse_args()
    os.set_inheritable(given.answers, False)
    with open(given.answers, "w", encoding="utf-8", buffering=1) as answers:  # noqa: PTH123

        def say(**answer: Any) -> None:
            answers.write(json.dumps(answer) + "\n")

        try:
            served = open_peer(Task.read(given.folder))
            say(opened=served.info)
            for line in sys.stdin:
                _reply(served, json.loads(line), given.folder, say)
        except Exception as error:
            words = " ".join(str(error).split())
            say(failed=f"{type(error).__name__}: {words[:600]}")
            raise


def _reply(
    served: Served, question: dict[str, Any], folder: Path, say: Callable[..., None]
) -> None:
    if question["do"] == "turn":
        gc.collect()
        gc.disable()  # no pause of Python's own inside of a time
        taken = served.times(question["count"])
        gc.enable()
        say(turn=taken)
    else:
        np.save(folder / "answer.npy", served.predict())
        say(**{question["do"]: "answer.npy"})

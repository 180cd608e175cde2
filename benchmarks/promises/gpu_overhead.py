"""Compare `Session.run` on a GPU with copying in, launching the network and copying out.

    python -m unetrt.benchmarks.promises.gpu_overhead model.engine --side 512 --out FILE

Needs an NVIDIA GPU: exit status 2 without one.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from numpy.typing import NDArray

from unetrt.errors import NoDevice
from unetrt.gpu import find_gpu
from unetrt.runtime import Session, open_session

from ..candidates import open_host_to_host
from .random_image import random_image
from .runner import Verdict, report, run_script, script_parser

__all__ = ["judge", "main", "measure_stages"]

_MOST, _ENQUEUE_NS = 1.10, 50_000
_TURN = 10


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--turns", type=int, default=30)
    given = parser.parse_args()
    if find_gpu() is None:
        raise NoDevice(f"Timing {given.engine} needs an NVIDIA GPU", got="none")
    with open_session(given.engine) as session:
        x = random_image(session.artifact, given.side)
        measured = measure_stages(session, x, turns=given.turns)
    return report(judge(measured), measured, given.out)


def measure_stages(session: Session, x: NDArray[Any], *, turns: int) -> dict[str, Any]:
    """Return the nanoseconds of `Session.run`, and those of each stage of bound runs, in turn.

    Raises:
        NoDevice: the session computes on no GPU whose events could time the stages.
    """
    bound = open_host_to_host(session, {session.inputs[0].name: x})
    if bound is None:
        raise NoDevice(f"{session.artifact.path} was opened where no GPU's events can time it")
    run_ns: list[int] = []
    stages: list[dict[str, int]] = []
    with closing(bound):
        for _ in range(turns):
            session.run(x)
            for _ in range(_TURN):
                began = time.perf_counter_ns()
                session.run(x)
                run_ns.append(time.perf_counter_ns() - began)
            bound.time_runs(1)
            taken = bound.time_runs(_TURN)
            names = ("host_ns", *(f"{name}_ns" for name in taken.stages_ns))
            runs = zip(taken.host_ns, *taken.stages_ns.values(), strict=True)
            stages += [dict(zip(names, run, strict=True)) for run in runs]
    return {"session": session.info, "shape": list(x.shape), "run_ns": run_ns, "stages": stages}


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    stages, shape = measured["stages"], " x ".join(map(str, measured["shape"]))
    events = median(s["copy_in_ns"] + s["compute_ns"] + s["copy_out_ns"] for s in stages)
    run, enqueue = median(measured["run_ns"]), median(s["enqueue_ns"] for s in stages)
    parts = ", ".join(
        f"{name.replace('_', ' ')} {median(s[f'{name}_ns'] for s in stages) / 1e3:.0f}"
        for name in ("copy_in", "compute", "copy_out")
    )
    return [
        Verdict(
            f"{shape}: Session.run from host to host at most {_MOST:g} times copy in + compute + "
            "copy out by the GPU's events",
            f"{run / events:.3f} times ({run / 1e3:.0f} us against {events / 1e3:.0f}: {parts})",
            run / events <= _MOST,
        ),
        Verdict(
            f"{shape}: the host's time for a call less than {_ENQUEUE_NS / 1e3:g} us",
            f"{enqueue / 1e3:.1f} us",
            enqueue < _ENQUEUE_NS,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_script(main))

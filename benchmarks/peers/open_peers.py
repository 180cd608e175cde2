"""Open other tools side by side, each in a process of its own, and close them whatever comes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import unetrt
from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput, ParityError, UnetrtError
from unetrt.precision import Precision

from ..candidates import Runs
from ..processes import Worker
from .peers import PEERS, Peer, peer_python

__all__ = ["Limits", "PeerCandidate", "open_peer", "open_peers", "reference_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that a child may take to open a network (compiling counts), and for one answer."""

    open_s: float = 600.0
    answer_s: float = 300.0


class PeerCandidate:
    """A peer that opened a network and agrees with the reference; see `Candidate`.

    Attributes:
        name: the peer's.
        info: `versions`, `configuration`, `device` and `computes_in`, as the child said.
        parity: `max_abs_diff` and `labels_that_differ` from the reference's answer.
    """

    def __init__(
        self, name: str, worker: Worker, folder: Path, limits: Limits, file_precision: Precision
    ) -> None:
        self.name = name
        self.info: dict[str, Any] = worker.opened
        self.parity: dict[str, float] = {}
        self._worker, self._folder, self._limits = worker, folder, limits
        self._file_precision = file_precision

    def time_runs(self, count: int) -> Runs:
        """Run so many times in the child, by its own clock.

        Raises:
            WorkerFailed: the child died, hung or gave no answer.
        """
        taken = self._worker.ask("turn", count=count, timeout_s=self._limits.answer_s)
        stages = {name: tuple(ns) for name, ns in taken.items()}
        return Runs(stages.pop("host"), stages)

    def predict(self) -> NDArray[Any]:
        """Return the output for the input that it was opened with."""
        file = self._worker.ask("answer", timeout_s=self._limits.answer_s)
        return np.asarray(np.load(self._folder / file, allow_pickle=False))

    def check(self, expected: NDArray[Any]) -> None:
        """Compare the answer with the reference's, and keep how far it is in `parity`.

        Raises:
            ParityError: it is further than its precision excuses, or than half of the values'
                spread: an answer in the middle of everything is none.
        """
        answer = self.predict()
        if answer.shape != expected.shape:
            raise ParityError(
                f"{self.name} gives another shape", got=answer.shape, expected=expected.shape
            )
        apart = float(np.abs(answer.astype(np.float32) - expected).max())
        labels = float(np.mean(answer.argmax(axis=-1) != expected.argmax(axis=-1)))
        self.parity = {"max_abs_diff": apart, "labels_that_differ": labels}
        # A file in float16 that is computed in float32 is as far off as its weights are.
        computed = Precision.from_compute_dtype(self.info["computes_in"])
        tolerance = computed.coarser(self._file_precision).tolerance
        most = min(tolerance.max_abs_diff, float(np.ptp(expected)) / 2)
        if not apart <= most:  # NaN fails too
            raise ParityError(
                f"{self.name} disagrees with ONNX Runtime and is not timed",
                got=f"a value off by {apart:.2g}",
                expected=f"at most {most:.2g} in {self.info['computes_in']}",
            )

    def close(self) -> None:
        """End the child."""
        self._worker.close()


_FLAT = 1e-3
"""An answer that is the same everywhere would agree with anything."""

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # OpenMP's threads (torch's) wait for their next work spinning, 200 ms long in Intel's library:
    # into the turn of the next candidate. One millisecond still bridges the gap between two layers.
    # https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html
    # GNU's, which torch's wheels for Linux bring, stops sooner: in the second after a turn torch
    # took 0.01 s of CPU, TensorFlow, OpenVINO and ONNX Runtime (see its job) none.
    "KMP_BLOCKTIME": "1",
}


@dataclass(frozen=True, slots=True)
class OpenPeers:
    """The peers that opened and agree, and why the others do not, by name."""

    candidates: tuple[PeerCandidate, ...]
    failures: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_peer(
    peer: Peer,
    model: OnnxModel,
    image: NDArray[Any],
    *,
    threads: int | None = None,
    keras_file: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[PeerCandidate]:
    """Open `model` in a child of its own; `image` is its input, in the file's type and layout.

    Raises:
        BadInput: the network has several inputs or outputs, or is not in float32 though the peer
            chooses its precision itself.
        ShapeError: the image does not fit it.
        WorkerFailed: the child cannot open it.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise BadInput(
            f"{model.path} cannot be given to peers",
            got=f"{len(model.inputs)} inputs and {len(model.outputs)} outputs",
            expected="one of each",
        )
    if peer.precision is not None and model.precision != Precision.FP32:
        raise BadInput(
            f"{peer.name} chooses its precision itself and takes a float32 file",
            got=f"{model.path.name} in {model.precision}",
            expected="fp32",
        )
    model.inputs[0].check(image.shape, image.dtype.name)
    limits = limits or Limits()
    task = {
        "onnx": str(model.path.resolve()),
        "keras": None if keras_file is None else str(keras_file.resolve()),
        "precision": peer.precision or model.precision,
        "device": peer.device,
        "variant": peer.variant,
        "threads": threads,
    }
    with TemporaryDirectory(prefix="unetrt-peer-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        np.save(folder / "input.npy", np.ascontiguousarray(image))
        # Another interpreter finds unetrt here, and nothing else of this one's packages.
        (folder / "path").mkdir()
        (folder / "path" / "unetrt").symlink_to(Path(unetrt.__file__).resolve().parent)
        with Worker(
            [peer_python(peer), "-m", f"unetrt.benchmarks.peers.children.{peer.job}", str(folder)],
            name=peer.name,
            log=folder / "log.txt",
            timeout_s=limits.open_s,
            environment=_environment(peer, folder),
        ) as worker:
            yield PeerCandidate(peer.name, worker, folder, limits, model.precision)


@contextmanager
def open_peers(
    peers: Iterable[Peer],
    model: OnnxModel,
    image: NDArray[Any],
    *,
    expected: NDArray[Any] | None = None,
    threads: int | None = None,
    keras_file: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[OpenPeers]:
    """Open each peer, check its answer against `expected`, and close all of them at the end.

    `expected` is ONNX Runtime's answer on the float32 file, and asked of it if it is not given. A
    peer that fails or disagrees is a failure among the others' successes.

    Raises:
        WorkerFailed: ONNX Runtime itself cannot run the network.
        ParityError: its answer is flat, so that agreeing with it says nothing.
    """
    if expected is None:
        expected = reference_answer(model, image, threads=threads, limits=limits)
    if not float(np.ptp(expected)) > _FLAT:
        raise ParityError(
            "The reference's answer says nothing",
            got=f"values within {float(np.ptp(expected)):.1g}",
            hint="give another image, or trained weights",
        )
    candidates, failures = [], {}
    with ExitStack() as stack:
        for peer in peers:
            with ExitStack() as opening:  # closes a peer that disagrees
                try:
                    candidate = opening.enter_context(
                        open_peer(
                            peer,
                            model,
                            image,
                            threads=threads,
                            keras_file=keras_file,
                            limits=limits,
                        )
                    )
                    candidate.check(expected)
                except UnetrtError as error:
                    failures[peer.name] = str(error)
                else:
                    candidates.append(candidate)
                    stack.push(opening.pop_all())
        yield OpenPeers(tuple(candidates), failures)


def reference_answer(
    model: OnnxModel,
    image: NDArray[Any],
    *,
    threads: int | None = None,
    limits: Limits | None = None,
) -> NDArray[Any]:
    """Return what ONNX Runtime answers on the CPU, in a child, to which all others are held."""
    with open_peer(PEERS[0], model, image, threads=threads, limits=limits) as reference:
        return reference.predict()


def _environment(peer: Peer, folder: Path) -> dict[str, str]:
    paths = [str(folder / "path"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(_ENVIRONMENT, PYTHONPATH=os.pathsep.join(paths))
    if peer.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""  # TensorFlow would take the GPU
        environment["TORCHINDUCTOR_FREEZING"] = "1"  # read by torch at import; see peer_torch.py
    return environment

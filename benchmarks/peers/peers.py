"""Run the same network with another tool, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import unetrt
from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput
from unetrt.gpu import find_gpu
from unetrt.precision import Precision

from ..candidates import Runs
from ..processes import Worker

__all__ = [
    "PEERS",
    "TORCH_PYTHON",
    "Peer",
    "PeerCandidate",
    "open_peer",
    "peer_python",
    "peers_available",
    "peers_named",
]

TORCH_PYTHON = "UNETRT_TORCH_PYTHON"
"""Names a Python interpreter with torch, numpy and onnx, if it is not the one that runs."""

_SEARCH_S = 30.0
"""For another interpreter to say which modules it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Describe one way to run a network with another tool.

    Attributes:
        name: of its rows in a report.
        job: the module in benchmarks/peers/children that opens it.
        variant: of that module.
        needs: modules that have to be installed.
        extra: of unetrt, which brings them.
        device: "cpu" or "gpu".
        precision: what it makes of a float32 file; None where it computes in the file's own.
        program: an executable that has to be on the PATH.
    """

    name: str
    job: str
    needs: tuple[str, ...] = ()
    extra: str = ""
    device: str = "cpu"
    variant: str = ""
    precision: str | None = None
    program: str | None = None


def _keras(device: str) -> Iterable[Peer]:
    for variant in ("predict", "function", "xla"):
        yield Peer(
            name=f"keras-{variant}" + _suffix(device),
            job="peer_keras",
            needs=("tensorflow", "keras", "onnx"),
            extra="train",
            device=device,
            variant=variant,
            precision="fp32",
        )


def _torch(device: str, precisions: Iterable[str]) -> Iterable[Peer]:
    for precision in precisions:
        for variant in ("eager", "compile") if device == "cpu" else ("eager", "graphs", "autotune"):
            yield Peer(
                name=f"torch-{variant}-{precision}" + _suffix(device),
                job="peer_torch",
                needs=("torch", "onnx"),
                extra="peers",
                device=device,
                variant=variant,
                precision=precision,
            )


def _suffix(device: str) -> str:
    return "" if device == "cpu" else f"-{device}"


PEERS: tuple[Peer, ...] = (
    Peer(name="onnxruntime", job="peer_onnxruntime", needs=("onnxruntime",), extra="cpu"),
    Peer(
        name="onnxruntime-cuda",
        job="peer_onnxruntime",
        needs=("onnxruntime",),
        extra="gpu",
        device="gpu",
    ),
    Peer(
        name="openvino-f32",
        job="peer_openvino",
        needs=("openvino",),
        extra="openvino",
        variant="f32",
    ),
    Peer(name="openvino", job="peer_openvino", needs=("openvino",), extra="openvino"),
    *_keras("cpu"),
    *_keras("gpu"),
    *_torch("cpu", ("fp32", "bf16")),
    *_torch("gpu", ("fp32", "tf32", "fp16")),
    Peer(
        name="trtexec",
        job="peer_trtexec",
        needs=("onnx",),
        extra="tensorrt",
        device="gpu",
        program="trtexec",
    ),
)
"""All that unetrt knows."""


def peers_named(names: Iterable[str]) -> tuple[Peer, ...]:
    """Return peers by their names.

    Raises:
        BadInput: there is none of that name.

    Example:
        >>> [peer.device for peer in peers_named(["openvino", "keras-xla-gpu"])]
        ['cpu', 'gpu']
    """
    known = {peer.name: peer for peer in PEERS}
    chosen = tuple(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise BadInput("There is no such peer", got=", ".join(unknown), expected=" or ".join(known))
    return tuple(known[name] for name in chosen)


def peers_available() -> dict[str, str | None]:
    """Return, by name, why a peer cannot run here, None where it can; imports none of them.

    Example:
        >>> peers_available().keys() == {peer.name for peer in PEERS}
        True
    """
    return {peer.name: _obstacle(peer) for peer in PEERS}


def peer_python(peer: Peer) -> str:
    """Return the interpreter that runs a peer."""
    return (os.environ.get(TORCH_PYTHON) if "torch" in peer.needs else None) or sys.executable


def _obstacle(peer: Peer) -> str | None:
    if peer.device == "gpu" and find_gpu() is None:
        return "needs an NVIDIA GPU"
    if peer.program is not None and shutil.which(peer.program) is None:
        return f"needs {peer.program} on the PATH"
    python = peer_python(peer)
    try:
        missing = _missing(python, peer.needs)
    except (OSError, subprocess.SubprocessError):
        return f"needs a Python that runs: {TORCH_PYTHON} is {python}"
    if missing:
        return f"needs {', '.join(missing)}: pip install 'unetrt[{peer.extra}]'"
    if peer.name == "onnxruntime-cuda" and vendor.version("onnxruntime-gpu") is None:
        return "needs onnxruntime-gpu: pip install 'unetrt[gpu]'"
    return None


@cache
def _missing(python: str, modules: tuple[str, ...]) -> list[str]:
    if python == sys.executable:
        return [module for module in modules if not vendor.installed(module)]
    code = (
        "import sys, importlib.util as u; print(*[m for m in sys.argv[1:] if not u.find_spec(m)])"
    )
    found = subprocess.run(
        [python, "-c", code, *modules],
        capture_output=True,
        text=True,
        timeout=_SEARCH_S,
        check=True,
    )
    return found.stdout.split()


class PeerCandidate:
    """Time a peer that opened a network; see `Candidate` and `open_peer`.

    Attributes:
        name: the peer's, unless it is given another.
        info: `versions`, `configuration`, `device` and `computes_in`, as the child said.
        precision: whose tolerance holds: the coarser of the file's and what it computes in. A peer
            may compute in less than its file, OpenVINO in bfloat16, torch in TF32; and a float16
            file that is computed in float32 is as far off as its weights are.
    """

    def __init__(
        self, name: str, worker: Worker, folder: Path, run_s: float, file_precision: Precision
    ) -> None:
        self.name = name
        self.info: dict[str, Any] = worker.opened
        computed = Precision.from_compute_dtype(self.info["computes_in"])
        self.precision = computed.coarser(file_precision)
        self._worker, self._folder, self._run_s = worker, folder, run_s

    def time_runs(self, count: int) -> Runs:
        """Run so many times in the child, by its own clock.

        Raises:
            WorkerFailed: the child died, hung or sent no reply.
        """
        taken = self._worker.ask("time", count=count, timeout_s=self._run_s)
        stages = {name: tuple(ns) for name, ns in taken.items()}
        return Runs(stages.pop("host"), stages)

    def predict(self) -> NDArray[Any]:
        """Return the output for the input that it was opened with."""
        file = self._worker.ask("predict", timeout_s=self._run_s)
        return np.asarray(np.load(self._folder / file, allow_pickle=False))

    def close(self) -> None:
        """End the child."""
        self._worker.close()


_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # OpenMP's threads (torch's) wait for their next work spinning, 200 ms long in Intel's library:
    # into the turn of the next candidate. One millisecond still bridges the gap between two layers.
    # https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html
    # GNU's, which torch's wheels for Linux bring, stops sooner: in the second after a turn torch
    # took 0.01 s of CPU, TensorFlow, OpenVINO and ONNX Runtime (see its job) none.
    "KMP_BLOCKTIME": "1",
}


@contextmanager
def open_peer(
    peer: Peer,
    model: OnnxModel,
    image: NDArray[Any],
    *,
    open_s: float = 600.0,
    run_s: float = 300.0,
) -> Iterator[PeerCandidate]:
    """Open a network with another tool, in a child that ends with the `with` block.

    Args:
        peer: of `PEERS`.
        model: of one input and one output.
        image: the input, in the file's type and layout.
        open_s: seconds that the child may take to open the network; compiling counts.
        run_s: seconds that it may take for the runs it is asked for at once.

    Raises:
        BadInput: the network has several inputs or outputs, or is not in float32 though the peer
            chooses its precision itself.
        ShapeError: the image does not fit it.
        WorkerFailed: the child cannot open it.

    Example:
        >>> import numpy as np
        >>> model = OnnxModel.load(Path("model.onnx"))
        >>> image = np.linspace(0, 255, 1024, dtype=np.float32).reshape(1, 32, 32, 1)
        >>> with open_peer(*peers_named(["onnxruntime"]), model, image) as bare:
        ...     bare.info["computes_in"], bare.predict().shape, len(bare.time_runs(3).host_ns)
        ('float32', (1, 32, 32, 2), 3)
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
            expected=Precision.FP32,
        )
    model.inputs[0].check(image.shape, image.dtype.name)
    task = {
        "onnx": str(model.path.resolve()),
        "precision": peer.precision or model.precision,
        "device": peer.device,
        "variant": peer.variant,
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
            timeout_s=open_s,
            environment=_environment(peer, folder),
        ) as worker:
            yield PeerCandidate(peer.name, worker, folder, run_s, Precision.of(model.precision))


def _environment(peer: Peer, folder: Path) -> dict[str, str]:
    paths = [str(folder / "path"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(_ENVIRONMENT, PYTHONPATH=os.pathsep.join(paths))
    if peer.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""  # TensorFlow would take the GPU
        environment["TORCHINDUCTOR_FREEZING"] = "1"  # read by torch at import; see peer_torch.py
    return environment

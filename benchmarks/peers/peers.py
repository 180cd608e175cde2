"""Other ways to run the same network: which there are, and which this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from unetrt import vendor
from unetrt.errors import BadInput
from unetrt.gpu import find_gpu

__all__ = ["PEERS", "TORCH_PYTHON", "Peer", "peer_python", "peers_available", "peers_named"]

TORCH_PYTHON = "UNETRT_TORCH_PYTHON"
"""Names a Python interpreter with torch, numpy and onnx, if it is not the one that runs."""

_LOOK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One way to run a network, in a process of its own.

    Attributes:
        name: of its rows in a report.
        job: the module in benchmarks/peers/children that opens it.
        variant: which of the job's ways.
        needs: modules.
        extra: what brings them.
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
"""All that unetrt knows, the reference of their answers first."""


def peers_named(names: Iterable[str]) -> tuple[Peer, ...]:
    """Return peers by their names.

    Raises:
        BadInput: there is none of that name.
    """
    known = {peer.name: peer for peer in PEERS}
    chosen = tuple(names)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise BadInput("There is no such peer", got=", ".join(unknown), expected=" or ".join(known))
    return tuple(known[name] for name in chosen)


def peers_available() -> dict[str, str | None]:
    """Return, by name, why a peer cannot run here; None where it can. Imports none of them."""
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
        [python, "-c", code, *modules], capture_output=True, text=True, timeout=_LOOK_S, check=True
    )
    return found.stdout.split()

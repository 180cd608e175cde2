"""What this machine has to run networks with, by the names of the rows."""

from __future__ import annotations

from unetrt import vendor
from unetrt.gpu import find_gpu

from ..peers.peers import PEERS, peers_available

__all__ = ["ENGINES", "GPU_BACKENDS", "present_backends", "present_peers"]

ENGINES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Backends that run engines, and the module of each."""

GPU_BACKENDS = (*ENGINES, "onnxruntime-tensorrt", "onnxruntime-cuda")
"""Backends that compute on a GPU."""

_ALSO_HALF = {"peer_onnxruntime", "peer_trtexec"}
"""Jobs that take the float16 file too; Keras and torch make of the float32 one what they can."""


def present_backends() -> tuple[str, ...]:
    """Return the backends that can be opened here, TensorRT first; imports none of them."""
    gpu = find_gpu() is not None
    found = [name for name, module in ENGINES.items() if gpu and vendor.installed(module)]
    if gpu and vendor.version("onnxruntime-gpu") is not None:
        found += ["onnxruntime-tensorrt", "onnxruntime-cuda"]
    found += [name for name in ("onnxruntime", "openvino") if vendor.installed(name)]
    return tuple(found)


def present_peers() -> dict[str, tuple[str, ...]]:
    """Return the peers that can be opened here, and the precisions to ask of each."""
    obstacles = peers_available()
    return {
        peer.name: (peer.precision,)
        if peer.precision is not None
        else ("fp32", "fp16")
        if peer.job in _ALSO_HALF
        else ("fp32",)
        for peer in PEERS
        if obstacles[peer.name] is None
    }

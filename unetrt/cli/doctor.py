"""`unetrt doctor`: what this machine can run, and how to install what is missing."""

from __future__ import annotations

from dataclasses import dataclass

from unetrt import vendor
from unetrt.benchmarks import describe_machine
from unetrt.benchmarks.peers.peers import peers_available
from unetrt.cli.output import emit, table
from unetrt.cli.shell import AsJson
from unetrt.gpu import find_gpu

__all__ = ["doctor"]


@dataclass(frozen=True, slots=True)
class _Ability:
    """Something unetrt can do, the distributions it takes, and the extra that brings them.

    A need may name several distributions of which one is enough: "a|b".
    """

    title: str
    needs: tuple[str, ...]
    extra: str
    gpu: bool = False


_ABILITIES = (
    _Ability("train, convert", ("tensorflow", "tf2onnx", "onnx-ir", "onnxscript"), "train"),
    _Ability("run ONNX on the CPU", ("onnxruntime|onnxruntime-gpu",), "cpu"),
    _Ability("run ONNX on the GPU", ("onnxruntime-gpu",), "gpu", gpu=True),
    _Ability("run ONNX with OpenVINO", ("openvino",), "openvino"),
    _Ability("build TensorRT-RTX engines", ("tensorrt-rtx",), "rtx"),
    _Ability("run TensorRT-RTX engines", ("tensorrt-rtx", "cuda-bindings"), "rtx,gpu", gpu=True),
    _Ability(
        "build, run TensorRT engines",
        ("tensorrt-cu13", "cuda-bindings"),
        "tensorrt,gpu",
        gpu=True,
    ),
    _Ability("run engines through PyCUDA", ("pycuda",), "pycuda", gpu=True),
    _Ability("write reports", ("matplotlib", "jinja2"), "report"),
    _Ability("demo", ("nilearn", "nibabel", "matplotlib", "jinja2"), "demo"),
)


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine can run.

    And the install command for what is missing.
    """
    gpu = find_gpu()
    rows, report = [], {}
    for ability in _ABILITIES:
        found = {name: vendor.version(name) for need in ability.needs for name in need.split("|")}
        missing = [
            need for need in ability.needs if not any(found[name] for name in need.split("|"))
        ]
        install = f"pip install 'unetrt[{ability.extra}]'" if missing else None
        no_gpu = ability.gpu and gpu is None
        works = not missing and not no_gpu
        versions = ", ".join(f"{name} {version}" for name, version in found.items() if version)
        state = "yes" if works else "no: needs an NVIDIA GPU" if no_gpu else "no"
        advice = install if install and not no_gpu else ""
        rows.append([ability.title, state, versions or "-", advice or ""])
        report[ability.title] = {"works": works, "packages": found, "install": install}
    shown = "none" if gpu is None else f"{gpu.name}, compute capability {gpu.compute_capability}"
    machine = describe_machine()
    peers = peers_available()
    there = [name for name, obstacle in peers.items() if obstacle is None]
    emit(
        {"machine": machine, "abilities": report, "peers": peers},
        as_json=as_json,
        shown=[
            f"CPU: {machine['cpu']}, {machine['cores']} cores\nGPU: {shown}",
            table("This machine can", ["", "works", "installed", "to install"], rows),
            f"It can compare with: {', '.join(there) or 'nothing'}",
        ],
    )

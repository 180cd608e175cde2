"""The zoo's results as lines and as a page."""

from __future__ import annotations

from typing import Any

__all__ = ["row", "zoo_page"]

_COLUMNS = (
    "network", "package", "works", "params (M)", "size", "nodes", "Transpose",
    "Shape, Gather, Slice", "difference", "FP16 difference", "convert (s)", "engine (s)",
    "convolutions in FP16", "casts", "peak (GiB)",
)  # fmt: skip

_INTRODUCTION = """# The zoo

Segmentation networks that this project did not write, with random weights: built, converted to
ONNX, run beside Keras, retyped to FP16 and built into TensorRT-RTX engines. This page is written by

    pip install -e '.[train,cpu,rtx,zoo]' -c constraints/cpu.txt -c constraints/zoo.txt
    python -m unetrt.benchmarks.zoo --out benchmarks/results/cpu-2-cores/zoo.json --docs docs/zoo.md

Normalisations, biases and scales are given random values first: fresh ones are 0 and 1, and a
conversion that lost them would go unnoticed. `difference` is the largest of any output between
Keras and ONNX Runtime, at most 1e-4; logits are divided by their largest magnitude. `FP16
difference` is ONNX Runtime's with the FP16 file, for information: the weights are random. `size`
is what the ONNX file takes: *free*, with what height and width must be multiples of, or fixed.
`convert` and `engine` are wall-clock seconds on two cores; `peak` is the whole process.
"""


def row(name: str, result: dict[str, Any]) -> str:
    """Return one line about a network, as the visit prints it."""
    if result["failure"]:
        return f"{name:26} FAILS at {result.get('stage', 'start')}: {result['failure']}"
    share = f"{result['fp16_share']:.0%} FP16"
    return (
        f"{name:26} ok: {result['nodes']} nodes, {result['transposes']} Transpose, "
        f"{result['size_arithmetic']} Shape/Gather/Slice, differs by {result['difference']:.1e}, "
        f"{result['convert_s']:.1f} s, engine {result['engine_s']:.1f} s, {share}"
    )


def zoo_page(results: dict[str, Any]) -> str:
    """Return the Markdown page for what the visit wrote as JSON."""
    models: dict[str, dict[str, Any]] = results["models"]
    failed = {name: result for name, result in models.items() if result["failure"]}
    machine, packages = results["machine"], results["packages"]
    versions = {**machine["packages"], **packages}
    lines = [
        _INTRODUCTION,
        f"{len(models) - len(failed)} of {len(models)} work.",
        "",
        _line(_COLUMNS),
        _line("---" for _ in _COLUMNS),
        *(_line(_cells(name, result)) for name, result in models.items()),
    ]
    if failed:
        lines += ["", "## What does not work", ""]
        lines += [
            f"- `{name}`, at the stage *{result.get('stage', 'start')}*: {result['failure']}"
            for name, result in failed.items()
        ]
    lines += [
        "",
        f"Measured on {machine['cpu']}, {machine['cores']} cores, with "
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str, result: dict[str, Any]) -> list[str]:
    def shown(key: str, form: str = "", unit: float = 1) -> str:
        return format(result[key] / unit, form) if key in result else ""

    return [
        name,
        result["package"],
        "no" if result["failure"] else "yes",
        shown("parameters", ".1f", 1e6),
        _size(result),
        shown("nodes", ".0f"),
        shown("transposes", ".0f"),
        shown("size_arithmetic", ".0f"),
        shown("difference", ".0e"),
        shown("fp16_difference", ".0e"),
        shown("convert_s", ".1f"),
        shown("engine_s", ".1f"),
        shown("fp16_share", ".0%"),
        shown("casts", ".0f"),
        shown("peak_rss_bytes", ".1f", 2**30),
    ]


def _size(result: dict[str, Any]) -> str:
    if "free_size" not in result:
        return ""
    if result["free_size"]:
        return f"free, x{result['size_multiple']}"
    return "x".join(map(str, result["input"][1:3]))

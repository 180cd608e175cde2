"""Convert networks that others wrote: build, export, compare with Keras, make FP16 engines.

    python -m unetrt.benchmarks.promises.zoo --out zoo.json --docs docs/zoo.md

Each network has a process of its own and at most `--timeout` seconds. `--only NAME` takes some
again and keeps the file's other results. Needs the extras `train`, `cpu`, `rtx` and `zoo`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import BadInput, ParityError
from unetrt.files import write_text
from unetrt.tensors import ShapeRange

from ..machine import describe_machine
from .memory import peak_rss_bytes
from .runner import note, run_script, script_parser, try_in_child
from .zoo_networks import ZOO

__all__ = ["check_network", "main", "visit", "zoo_page"]

_TIMEOUT_S = 400
_TOLERANCE = 1e-4
_SPREAD = 1e-3
"""An output that is the same everywhere would agree with anything."""

_FREE_SIDE = 128
_SIZE_ARITHMETIC = ("Shape", "Gather", "Slice")


def main() -> int:
    """Visit the zoo; print the table as it grows, and write the JSON file and the page."""
    parser = script_parser(__doc__)
    parser.add_argument("--docs", type=Path, help="page to write from it")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="networks to visit again")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, help="seconds for each")
    given = parser.parse_args()
    unknown = set(given.only or ()) - ZOO.keys()
    if unknown:
        raise BadInput(
            "The zoo has no such network",
            got=", ".join(sorted(unknown)),
            expected=", ".join(ZOO),
        )
    modules = ("keras_hub", "medicai", "segmodels_keras", "keras_unet_collection")
    vendor.need(*modules, extra="zoo", purpose="Visiting the zoo")
    known: dict[str, Any] = {}
    if given.only and given.out.exists():
        known = json.loads(given.out.read_text(encoding="utf-8"))["models"]
    chosen = [name for name in ZOO if not given.only or name in given.only]
    for name, result in visit(chosen, given.timeout):
        known[name] = result
        results = _write(known, given.out)
    if given.docs:
        write_text(given.docs, zoo_page(results))
    models = results["models"].values()
    works = sum(result["failure"] is None for result in models)
    sys.stdout.write(f"{works} of {len(models)} work\n")
    return 0


def visit(names: Iterable[str], timeout_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Take each network through every stage; yield what its child found, and why it failed."""
    began = time.monotonic()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            check = partial(check_network, name=name, folder=folder)
            done = try_in_child(check, Path(folder), timeout_s=timeout_s)
            failure = done.failure and done.failure.replace(f"{folder}/", "")
        result = {"package": ZOO[name].package, **done.found, "failure": failure}
        sys.stdout.write(f"{time.monotonic() - began:5.0f} s  {_progress(name, result)}\n")
        yield name, result


def _write(known: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the JSON file after each network, so that an interrupted visit keeps what it has."""
    packages = sorted({network.package for network in ZOO.values()})
    results = {
        "machine": describe_machine(),
        "packages": {name: vendor.version(name) for name in packages},
        "models": {name: known[name] for name in ZOO if name in known},
    }
    write_text(out, json.dumps(results, indent=1) + "\n")
    return results


def check_network(*, name: str, folder: str) -> dict[str, Any]:
    """Take one network through every stage, in a child; note what each found when it ends.

    Raises:
        Whatever a stage raises; the result names the stage.
    """
    keras = vendor.keras()
    import onnx

    from unetrt.convert.precision import PrecisionSpec, to_precision
    from unetrt.convert.to_engine import EngineSpec, build_engine
    from unetrt.convert.to_onnx import export_onnx

    place = Path(folder)

    def reached(stage: str, **found: Any) -> None:
        note(place, **found, stage=stage, peak_rss_bytes=peak_rss_bytes())

    reached("build")
    model = ZOO[name].build()
    _draw_values(model)
    image = _image(model)
    reached("export", parameters=int(model.count_params()), input=list(image.shape))
    began = time.perf_counter()
    exported = export_onnx(model, place / "fp32.onnx")
    seconds = time.perf_counter() - began
    nodes = Counter(node.op_type for node in onnx.load(exported.path).graph.node)
    reached(
        "compare",
        convert_s=round(seconds, 2),
        nodes=sum(nodes.values()),
        transposes=nodes["Transpose"],
        size_arithmetic=sum(nodes[name] for name in _SIZE_ARITHMETIC),
        operators=dict(nodes),
        free_size=exported.inputs[0].sides() == ("height", "width"),
        size_multiple=exported.sizes.multiple,
    )
    expected = [np.asarray(y) for y in keras.tree.flatten(model(image, training=False))]
    compared = compare(expected, _run_onnx(exported.path, image))
    reached("compare", **compared)
    require_agreement(compared)
    reached("fp16")
    half = to_precision(exported, place / "fp16.onnx", PrecisionSpec(precision="fp16"))
    halved = compare(expected, _run_onnx(half.path, image))
    reached("engine", fp16_difference=halved["difference"])
    height, width = (ShapeRange(side, side, side) for side in image.shape[1:3])
    spec = EngineSpec(backend="tensorrt-rtx", batch=ShapeRange(1, 1, 4), height=height, width=width)
    began = time.perf_counter()
    engine = build_engine(half, place / "fp16.engine", spec)
    return {
        "stage": "done",
        "peak_rss_bytes": peak_rss_bytes(),
        "engine_s": round(time.perf_counter() - began, 2),
        "engine_bytes": engine.path.stat().st_size,
        "fp16_share": engine.receipt.convolution_share.get("fp16", 0.0),
        "casts": engine.receipt.casts,
    }


def _draw_values(model: Any) -> None:
    """Give normalisations, biases and scales values of their own, as training would.

    Fresh ones are 0 and 1, and a conversion that dropped them would go unnoticed.
    """
    random = np.random.default_rng(0)
    ranges = {
        "gamma": (0.6, 1.4),
        "moving_variance": (0.6, 1.4),
        "beta": (-0.3, 0.3),
        "moving_mean": (-0.3, 0.3),
        "bias": (-0.3, 0.3),
    }
    for variable in model.weights:
        if variable.name in ranges and "float" in variable.dtype:
            variable.assign(random.uniform(*ranges[variable.name], variable.shape))


def _image(model: Any) -> NDArray[np.float32]:
    (image,) = model.inputs
    sides = [side or _FREE_SIDE for side in image.shape[1:]]
    return np.random.default_rng(1).uniform(0, 1, (1, *sides)).astype(np.float32)


def _run_onnx(path: Path, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    session = vendor.onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, {session.get_inputs()[0].name: image})]


def compare(
    expected: list[NDArray[np.float32]], given: list[NDArray[np.float32]]
) -> dict[str, Any]:
    """Return the largest difference of any output, and the spread of its own values.

    Outputs beyond 1 are logits: those differences are shares of the largest magnitude.
    """
    scale = max(1.0, *(float(np.abs(y).max()) for y in expected))
    pairs = list(zip(expected, given, strict=True))
    return {
        "difference": float(np.max([np.abs(y - g).max() for y, g in pairs])) / scale,
        "scale": scale,
        "spread": max(float(np.ptp(y)) for y in expected) / scale,
        "outputs": len(expected),
    }


def require_agreement(compared: dict[str, Any]) -> None:
    """Refuse outputs that differ, and constant ones, which prove nothing.

    Raises:
        ParityError: holds the difference, or the spread.
    """
    if not compared["spread"] >= _SPREAD:
        raise ParityError(
            "The output says nothing",
            got=f"values within {compared['spread']:.1e}",
            expected=f"a spread of {_SPREAD:g}",
        )
    if not compared["difference"] <= _TOLERANCE:  # NaN fails too
        raise ParityError(
            "ONNX Runtime disagrees with Keras",
            got=f"{compared['difference']:.1e}",
            expected=f"at most {_TOLERANCE:g}",
        )


_FIGURES = (
    ("params (M)", "parameters", ".1f", 1e6),
    ("size", "size", "s", None),
    ("nodes", "nodes", "d", None),
    ("Transpose", "transposes", "d", None),
    ("Shape, Gather, Slice", "size_arithmetic", "d", None),
    ("difference", "difference", ".0e", None),
    ("FP16 difference", "fp16_difference", ".0e", None),
    ("convert (s)", "convert_s", ".1f", None),
    ("engine (s)", "engine_s", ".1f", None),
    ("convolutions in FP16", "fp16_share", ".0%", None),
    ("casts", "casts", "d", None),
    ("peak (GiB)", "peak_rss_bytes", ".1f", 2**30),
)
"""Columns of the page: title, key of a result, format, and what is one."""

_INTRODUCTION = """# The zoo

Segmentation networks that this project did not write, with random weights: built, converted to
ONNX, run beside Keras, retyped to FP16 and built into TensorRT-RTX engines. This page is written by

    pip install -e '.[train,cpu,rtx,zoo]' -c constraints/cpu.txt -c constraints/zoo.txt
    python -m unetrt.benchmarks.promises.zoo --out benchmarks/results/cpu-2-cores/zoo.json --docs docs/zoo.md

Normalisations, biases and scales are given random values first: fresh ones are 0 and 1, and a
conversion that lost them would go unnoticed. `difference` is the largest of any output between
Keras and ONNX Runtime, at most 1e-4; logits are divided by their largest magnitude. `FP16
difference` is ONNX Runtime's with the FP16 file, for information: the weights are random. `size`
is what the ONNX file takes: *free*, with what height and width must be multiples of, or fixed.
`convert` and `engine` are wall-clock seconds on two cores; `peak` is the whole process.
"""  # noqa: E501  (a command)


def zoo_page(results: dict[str, Any]) -> str:
    """Return the Markdown page for what the visit wrote as JSON."""
    models: dict[str, dict[str, Any]] = results["models"]
    failed = {name: result for name, result in models.items() if result["failure"]}
    machine = results["machine"]
    versions = {**machine["packages"], **results["packages"]}
    titles = ["network", "package", "works", *(title for title, *_ in _FIGURES)]
    lines = [
        _INTRODUCTION,
        f"{len(models) - len(failed)} of {len(models)} work.",
        "",
        _line(titles),
        _line("---" for _ in titles),
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


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str, result: dict[str, Any]) -> Iterator[str]:
    yield from (name, result["package"], "no" if result["failure"] else "yes")
    values = result | {"size": _size(result)}
    for _, key, form, one in _FIGURES:
        value = values.get(key)
        yield "" if value is None else format(value if one is None else value / one, form)


def _size(result: dict[str, Any]) -> str:
    if "free_size" not in result:
        return ""
    if result["free_size"]:
        return f"free, x{result['size_multiple']}"
    return "x".join(map(str, result["input"][1:3]))


def _progress(name: str, result: dict[str, Any]) -> str:
    if result["failure"]:
        return f"{name:26} FAILS at {result.get('stage', 'start')}: {result['failure']}"
    return (
        f"{name:26} ok: {result['nodes']} nodes, {result['transposes']} Transpose, "
        f"{result['size_arithmetic']} Shape/Gather/Slice, differs by {result['difference']:.1e}, "
        f"{result['convert_s']:.1f} s, engine {result['engine_s']:.1f} s, "
        f"{result['fp16_share']:.0%} FP16"
    )


if __name__ == "__main__":
    sys.exit(run_script(main))

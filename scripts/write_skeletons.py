"""Write benchmarks/networks/*.onnx: the networks' graphs without their weights.

    python scripts/write_skeletons.py

Run it again when the conversion changes: a test compares each skeleton with a fresh export.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.networks.skeletons import ABOUT, CARRIED, FOLDER, fill_skeleton
from unetrt.builder import UNetSpec, build_unet
from unetrt.convert.precision import PRECISIONS, PrecisionSpec, to_precision
from unetrt.convert.to_onnx import export_onnx
from unetrt.files import replacing
from unetrt.sizes import SizeRule

__all__ = ["NETWORKS", "main", "retyped", "strip"]

_SHAPE, _CLASSES = (None, None, 1), 2
_PIXEL_SCALE = 128.0
"""About the size of a pixel of 0 to 255, in networks that do not normalise their pixels."""

NETWORKS = {
    "article": (UNetSpec.article(_SHAPE, _CLASSES), _PIXEL_SCALE),
    "paper": (UNetSpec.paper(_SHAPE, _CLASSES), _PIXEL_SCALE),
    # As `unetrt demo` trains it; mean and deviation as the built-in brain slices have them.
    "small": (UNetSpec.small(_SHAPE, _CLASSES, pixel_mean=76.8, pixel_std=41.3), 1.0),
}
"""The spec of each, and the size of what its first convolution reads."""

_IMAGES, _SIDE = 4, 256

_COUNTED = re.compile(r"__\d+$")

_OF_THE_WEIGHTS = ("weights_sha256", "images")
"""Not in a skeleton."""


def strip(model: OnnxModel, path: Path, pixel_scale: float) -> None:
    """Write the graph of `model` to `path`, its convolutions' weights turned into inputs."""
    proto = onnx.load(model.path)
    graph = proto.graph
    weights = _weight_names(graph)
    held = {tensor.name: tensor for tensor in graph.initializer}
    for name in weights:
        tensor = held[name]
        graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))
        graph.initializer.remove(tensor)
    _drop_counters(graph)
    del graph.value_info[:], proto.metadata_props[:]
    proto.metadata_props.add(key=ABOUT, value=json.dumps(_about(model, pixel_scale)))
    with replacing(path) as temporary:
        onnx.save(proto, temporary)


def retyped(name: str, folder: Path, model: OnnxModel, seed: int = 0) -> Iterator[OnnxModel]:
    """Yield the network `name` in every precision; `model` is it in fp32, with any weights.

    The ranges of int8 are those of the network filled from `seed`, on random images; another
    seed's are much the same, since its weights have the same distribution.
    """
    for precision in PRECISIONS:
        if precision == "fp32":
            yield model
            continue
        spec = PrecisionSpec(precision=precision)
        source, data = model, None
        if precision == "int8":
            source = fill_skeleton(name, folder / f"{name}.filled.onnx", seed=seed)
            data = list(_images(model.sizes))
        yield to_precision(source, folder / f"{name}.{precision}.onnx", spec, data=data)


def _drop_counters(graph: onnx.GraphProto) -> None:
    """Rename what tf2onnx numbers by all that it ever converted: the file shall be the same."""
    graph.ClearField("doc_string")
    counted = [t for t in graph.initializer if _COUNTED.search(t.name)]
    names = {tensor.name: f"constant{number}" for number, tensor in enumerate(counted)}
    for tensor in counted:
        tensor.name = names[tensor.name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _about(model: OnnxModel, pixel_scale: float) -> dict[str, Any]:
    made_with = {k: v for k, v in model.made_with.items() if k not in _OF_THE_WEIGHTS}
    return {
        "sizes": asdict(model.sizes),
        "receptive_field": model.receptive_field.to_json(),
        "made_with": made_with,
        "pixel_scale": pixel_scale,
        **{field: getattr(model, field) for field in ("layout", "kept", *CARRIED)},
    }


def _images(sizes: SizeRule) -> Iterator[NDArray[np.uint8]]:
    side = sizes.at_least(_SIDE)
    random = np.random.default_rng(0)
    for _ in range(_IMAGES):
        yield random.integers(0, 256, (side, side, _SHAPE[2]), np.uint8)


def _weight_names(graph: onnx.GraphProto) -> list[str]:
    """Return kernels, also quantised ones with their scales, and biases, in the nodes' order."""
    made_by = {name: node for node in graph.node for name in node.output}
    names: list[str] = []
    for node in graph.node:
        if node.op_type in {"Conv", "ConvTranspose"}:
            source = made_by.get(node.input[1])
            names += [node.input[1]] if source is None else source.input
            names += node.input[2:]
    return names


def main() -> None:
    """Write each network in each precision, float32 first: int8 is measured on it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (spec, pixel_scale) in NETWORKS.items():
            exported = export_onnx(build_unet(spec), Path(folder, f"{name}.fp32.onnx"))
            for model in retyped(name, Path(folder), exported):
                strip(model, FOLDER / f"{name}.{model.precision}.onnx", pixel_scale)


if __name__ == "__main__":
    main()

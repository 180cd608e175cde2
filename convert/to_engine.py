"""ONNX to a TensorRT or TensorRT-RTX engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput, NoDevice, ShapeError, UnsupportedModel
from unetrt.gpu import find_gpu
from unetrt.tensors import ShapeRange

from .build_log import build_log
from .receipt import read_receipt

__all__ = ["EngineSpec", "build_engine", "choose_backend", "default_side"]


_FREE_SIDE = ShapeRange(256, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """What an engine is built for.

    Attributes:
        backend: "tensorrt", "tensorrt-rtx" (builds without a GPU), or "auto": TensorRT where it
            and a GPU are present, else TensorRT-RTX.
        batch: images a run.
        height: pixels; the model's size multiple must divide all three.
        width: likewise.
        tf32: let float32 convolutions round their inputs to TF32 on tensor cores.
    """

    backend: str = "auto"
    batch: ShapeRange = ShapeRange(1, 1, 8)
    height: ShapeRange = _FREE_SIDE
    width: ShapeRange = _FREE_SIDE
    tf32: bool = False

    def shapes(self, channels: int) -> tuple[tuple[int, int, int, int], ...]:
        """Return the smallest, the most usual and the largest input, NHWC."""
        return tuple(
            (
                getattr(self.batch, end),
                getattr(self.height, end),
                getattr(self.width, end),
                channels,
            )
            for end in ("min", "opt", "max")
        )


def default_side(own: int | str) -> ShapeRange:
    """Return the range for a height or width that is free (a name), or fixed in the model."""
    return ShapeRange(own, own, own) if isinstance(own, int) else _FREE_SIDE


def choose_backend(wanted: str) -> str:
    """Return the backend that "auto" means on this machine, or the one that was named."""
    if wanted == "auto":
        enterprise = find_gpu() is not None and vendor.installed("tensorrt")
        return "tensorrt" if enterprise else "tensorrt-rtx"
    if wanted not in vendor.TENSORRT_EXTRAS:
        raise BadInput(
            "There is no such backend for engines",
            got=repr(wanted),
            expected=" or ".join(("auto", *vendor.TENSORRT_EXTRAS)),
        )
    return wanted


def build_engine(model: OnnxModel, path: Path, spec: EngineSpec | None = None) -> Engine:
    """Build an engine from `model`, in the types its graph has, and write it to `path`.

    Raises:
        MissingDependency: the backend is not installed.
        NoDevice: TensorRT is asked for and there is no GPU.
        ShapeError: a size in the spec that the network cannot halve.
        UnsupportedModel: the parser or the builder refuses the network; holds their words.
        ReceiptError: the network does not compute in the model's precision.
    """
    spec = spec or EngineSpec()
    _check_sizes(model, spec)
    backend = choose_backend(spec.backend)
    if backend == "tensorrt" and find_gpu() is None:
        raise NoDevice(
            "TensorRT cannot build here",
            got="no NVIDIA GPU with a driver",
            expected="the GPU that the engine is for",
            hint="build there, or with --backend tensorrt-rtx, which needs none",
        )
    trt = vendor.tensorrt(backend)
    log = build_log(trt)
    builder = trt.Builder(log)
    network = _parsed(trt, builder, log, model)
    config = builder.create_builder_config()
    if not spec.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and silent about it
    shapes = spec.shapes(network.get_input(0).shape[-1])
    profile = builder.create_optimization_profile()
    profile.set_shape(network.get_input(0).name, *shapes)
    config.add_optimization_profile(profile)
    receipt = read_receipt(trt, network, shapes[1], tf32=spec.tf32)
    receipt.check(model.precision)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UnsupportedModel(
            f"{backend} {trt.__version__} cannot build {model.path}", got=log.last_error()
        )
    gpu = find_gpu()
    return Engine.write(
        path,
        lambda temporary: temporary.write_bytes(memoryview(plan)),
        classes=model.classes,
        size_multiple=model.size_multiple,
        source=model.as_source,
        made_with={
            "spec": asdict(spec) | {"backend": backend},
            "gpu": None if gpu is None else gpu.to_json(),
            "warnings": log.warnings,
        },
        inputs=model.inputs,
        outputs=model.outputs,
        precision=model.precision,
        backend=backend,
        backend_version=trt.__version__,
        receipt=receipt.to_json(),
    )


def _parsed(trt: Any, builder: Any, log: Any, model: OnnxModel) -> Any:
    # TensorRT 10 types strongly only when asked; 11 always does, and may drop the flag.
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model.path.read_bytes()):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise UnsupportedModel(
            f"TensorRT's parser refuses {model.path}",
            got="; ".join(f"{e.node_name() or 'the file'}: {e.desc()}" for e in errors)
            or log.last_error(),
        )
    return network


def _check_sizes(model: OnnxModel, spec: EngineSpec) -> None:
    for axis, sizes in (("height", spec.height), ("width", spec.width)):
        for size in (sizes.min, sizes.opt, sizes.max):
            if size % model.size_multiple:
                nearest = -(-size // model.size_multiple) * model.size_multiple
                raise ShapeError(
                    f"{model.path} cannot halve this {axis}",
                    got=size,
                    expected=f"a multiple of {model.size_multiple}",
                    hint=f"the next that works is {nearest}",
                )
    fixed = model.inputs[0].shape[1:3]
    for axis, own, sizes in zip(("height", "width"), fixed, (spec.height, spec.width), strict=True):
        if isinstance(own, int) and sizes != ShapeRange(own, own, own):
            raise ShapeError(f"{model.path} has a fixed {axis}", got=str(sizes), expected=f"{own}")

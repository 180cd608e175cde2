"""ONNX to a TensorRT or TensorRT-RTX engine."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.caches import cache_file
from unetrt.errors import BadInput, NoDevice
from unetrt.gpu import Gpu, find_gpu

from .engines.build_config import configure
from .engines.build_log import build_log
from .engines.build_refusal import builder_refusal, parser_refusal
from .engines.byte_pairs import with_byte_pairs
from .engines.engine_spec import EngineSpec
from .engines.inspection import Inspection, inspect_engine
from .engines.onnx_graph import OnnxContent, architecture, convolution_types, read_content
from .engines.profiles import Profile, input_profiles
from .engines.receipt import read_receipt
from .engines.timing_cache import begin_timing, keep_timing

__all__ = ["EngineSpec", "build_engine", "choose_backend", "parser_input"]


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
        NoDevice: TensorRT is asked for, or what only a GPU can build, and there is no GPU.
        BadInput: an option that the backend has not got.
        ArtifactError: the file is no ONNX file, or keeps weights outside its folder.
        ShapeError: a size in the spec that the network cannot halve.
        UnsupportedModel: the parser or the builder refuses the network; names the layer.
        ReceiptError: the network does not compute in the model's precision.
    """
    if model.made_with.get("simulated"):
        raise BadInput(
            f"{model.path} only simulates {model.precision}",
            expected="the file that it simulates",
            hint="a simulation is for checking on a CPU; build the file it was made from",
        )
    spec = spec or EngineSpec()
    profiles = input_profiles(model, spec)
    spec = replace(spec, backend=choose_backend(spec.backend))
    spec.check(spec.backend)
    gpu = find_gpu()
    if spec.backend == "tensorrt" and gpu is None:
        raise NoDevice(
            "TensorRT cannot build here",
            got="no NVIDIA GPU with a driver",
            expected="the GPU that the engine is for",
            hint="build there, or with --backend tensorrt-rtx, which needs none",
        )
    trt = vendor.tensorrt(spec.backend)
    what = f"{spec.backend} {trt.__version__}"
    log = build_log(trt)
    builder = trt.Builder(log)
    read = read_content(model)
    network = _parsed(trt, builder, log, model, read)
    bound = {name: _bound(network, name, shapes) for name, shapes in profiles.items()}
    config = configure(trt, builder, spec, bound, gpu)

    usual = profiles[model.inputs[0].name].opt
    shapes = {name: profile.opt for name, profile in bound.items()}
    reading = read_receipt(trt, network, shapes, shape=usual, tf32=spec.tf32)
    kept = reading.check(model.precision, convolution_types(read.proto), _kept_patterns(model))

    timings = _timing_file(spec, trt.__version__, gpu)
    if timings is not None:
        log.keep(begin_timing(config, timings))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise builder_refusal(model, spec, what, network, trt, log, gpu)
    if timings is not None:
        log.keep(keep_timing(config, timings))
    inspected = None if gpu is None else _inspected(trt, log, plan, spec)
    receipt = replace(
        reading.receipt,
        kept=kept,
        reformats=None if inspected is None else inspected.reformats,
        engine=None if inspected is None else asdict(inspected),
    )
    return Engine.write(
        path,
        lambda temporary: temporary.write_bytes(memoryview(plan)),
        classes=model.classes,
        sizes=model.sizes,
        source=model.as_source,
        made_with={
            "spec": asdict(spec) | {"targets": list(spec.targets)},
            "profiles": {name: list(map(list, shapes)) for name, shapes in profiles.items()},
            "gpu": None if gpu is None else gpu.to_json(),
            "warnings": log.warnings,
            "architecture": architecture(read.proto),
        },
        inputs=model.inputs,
        outputs=model.outputs,
        precision=model.precision,
        backend=spec.backend,
        backend_version=trt.__version__,
        receipt=receipt.to_json(),
        layout=model.layout,
        receptive_field=model.receptive_field,
        bytes_per_pixel=model.bytes_per_pixel,
        golden=model.golden,
    )


def parser_input(read: OnnxContent) -> bytes:
    """Return the file as TensorRT's parser can take it."""
    paired = with_byte_pairs(read.proto)
    return read.content if paired is None else bytes(paired.SerializeToString())


def _parsed(trt: Any, builder: Any, log: Any, model: OnnxModel, read: OnnxContent) -> Any:
    # TensorRT 10 types strongly only when asked; 11 always does, and may drop the flag.
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, log)
    # The path tells where weights outside the file are.
    if not parser.parse(parser_input(read), str(model.path)):
        raise parser_refusal(model, parser, log)
    return network


def _bound(network: Any, name: str, profile: Profile) -> Profile:
    """Return the profile with a last axis of two bytes where the input is one of 16 bits."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    rank = next(len(tensor.shape) for tensor in inputs if tensor.name == name)
    pair = (2,) * (rank - len(profile.opt))
    return Profile(*(shape + pair for shape in profile))


def _kept_patterns(model: OnnxModel) -> tuple[str, ...]:
    """Return the names and patterns of what the model's conversion left in another type."""
    spec = model.made_with.get("spec") or {}
    return (*spec.get("keep", ()), *model.made_with.get("kept", ()))


def _timing_file(spec: EngineSpec, version: str, gpu: Gpu | None) -> Path | None:
    """TensorRT-RTX times nothing: its timing cache does nothing, and may ask for a GPU."""
    if gpu is None or spec.backend != "tensorrt":
        return None
    return cache_file("timing", backend=spec.backend, version=version, gpu=gpu)


def _inspected(trt: Any, log: Any, plan: Any, spec: EngineSpec) -> Inspection | None:
    """Inspect the engine where this GPU can open it."""
    runtime = trt.Runtime(log)
    if spec.version_compatible:
        runtime.engine_host_code_allowed = True  # it was built a moment ago, here
    engine = runtime.deserialize_cuda_engine(plan)
    try:
        return None if engine is None else inspect_engine(trt, engine)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # It is JSON that changes between versions, and the engine is built: tell, and go on.
        log.keep(f"Cannot read what the engine inspector of {trt.__version__} says: {error!r}")
        return None

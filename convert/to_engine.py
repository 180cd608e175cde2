"""Build TensorRT and TensorRT-RTX engines from ONNX files."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.artifacts import Engine, EngineTarget, OnnxModel, sidecar_of
from unetrt.caches import cache_file
from unetrt.errors import BadInput, NoDevice, UnetrtError, UnsupportedModel
from unetrt.files import refuse_overwriting
from unetrt.gpu import Gpu, find_gpu
from unetrt.receipt import Inspection
from unetrt.tensors import ShapeProfile

from .build_config import (
    configure,
    input_profiles,
    store_timing_cache,
    use_timing_cache,
)
from .engine_spec import EngineSpec
from .onnx_proto import OnnxContent, architecture, convolution_types, read_content
from .receipt import inspect_engine, read_receipt

__all__ = [
    "EngineSpec",
    "build_engine",
    "build_log",
    "choose_backend",
    "engine_path",
    "parser_input",
    "with_byte_pairs",
]

_WIDTH = 300
"""Characters of a builder's complaint: some list whole tensors."""


def build_engine(
    model: OnnxModel | str | Path, path: str | Path, spec: EngineSpec | None = None
) -> Engine:
    """Build an engine from `model`, in the types its graph has, and write it to `path`.

    Args:
        model: the ONNX file, or its path.
        path: the engine to write; its name ends in .engine.
        spec: the backend, sizes and GPUs to build for; by default what suits this machine.

    Raises:
        MissingDependency: the backend is not installed.
        NoDevice: TensorRT, or an engine that takes a GPU to build, without a GPU.
        BadInput: a choice that the backend does not have.
        ArtifactError: the file is no ONNX file, or keeps weights outside its folder.
        ShapeError: a size in the spec that the network cannot take.
        UnsupportedModel: the parser or the builder refuses the network; names the layer.
        ReceiptError: the network does not compute in the model's precision.
        OutputError: `path` is a file of `model`, or cannot be written.

    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> engine = build_engine(model, Path("model.engine"), EngineSpec(backend="tensorrt-rtx"))
    >>> engine.backend, engine.receipt.convolutions, engine.receipt.casts
    ('tensorrt-rtx', 8, 0)
    """
    model, path = OnnxModel.of(model), engine_path(path)
    if model.simulated:
        raise BadInput(
            f"{model.path} only simulates {model.precision}",
            expected="the file that it simulates",
            hint="a simulation is for checking on a CPU; build the file it was made from",
        )
    refuse_overwriting([path, sidecar_of(path)], model.files)
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
            hint="build there, or with `backend='tensorrt-rtx'`, which needs none",
        )
    trt = vendor.tensorrt(spec.backend)
    library = f"{spec.backend} {trt.__version__}"
    log = build_log(trt)
    builder = trt.Builder(log)
    read = read_content(model)
    network = _parsed(trt, builder, log, model, read)
    bound = {name: _bound(network, name, shapes) for name, shapes in profiles.items()}
    config = configure(trt, builder, spec, bound, gpu)

    usual = profiles[model.inputs[0].name].opt
    shapes = {name: profile.opt for name, profile in bound.items()}
    reading = read_receipt(trt, network, shapes, shape=usual, tf32=spec.tf32)
    kept = reading.check(model.precision, convolution_types(read.proto), model.kept)

    timings = _timing_file(spec, trt.__version__, gpu)
    if timings is not None:
        log.keep(use_timing_cache(config, timings))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _builder_refusal(model, spec, library, network, trt, log, gpu)
    if timings is not None:
        log.keep(store_timing_cache(config, timings))
    inspected = None if gpu is None else _inspected(trt, log, plan, spec)
    return Engine.write(
        path,
        lambda temporary: temporary.write_bytes(memoryview(plan)),
        classes=model.classes,
        sizes=model.sizes,
        normalization=model.normalization,
        source=model.as_source,
        made_with={
            "spec": asdict(spec) | {"targets": list(spec.targets)},
            "unetrt": vendor.version("unetrt"),
        },
        inputs=model.inputs,
        outputs=model.outputs,
        precision=model.precision,
        backend=spec.backend,
        backend_version=trt.__version__,
        target=EngineTarget(
            gpu=gpu,
            compute_capabilities=spec.targets,
            hardware_compatibility=spec.hardware_compatibility,
            version_compatible=spec.version_compatible,
        ),
        profiles=profiles,
        receipt=replace(reading.receipt, kept=kept, inspection=inspected),
        refittable=spec.refittable,
        stripped=spec.stripped,
        architecture=architecture(read.proto),
        warnings=tuple(log.warnings),
        receptive_field=model.receptive_field,
        bytes_per_pixel=model.bytes_per_pixel,
        golden=model.golden,
    )


def engine_path(path: str | Path) -> Path:
    """Return the path of an engine to write; refuse one whose name does not end in .engine."""
    if Path(path).suffix != ".engine":
        raise BadInput(f"Cannot write {path}", expected="a name ending in .engine")
    return Path(path)


def choose_backend(wanted: str) -> str:
    """Return the backend that "auto" stands for on this machine, or the one that was named.

    Raises:
        BadInput: there is none of that name.

    >>> choose_backend("tensorrt-rtx")
    'tensorrt-rtx'
    """
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


def build_log(trt: Any) -> Any:
    """Return a logger that collects warnings and errors in lists of the same names."""

    class BuildLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.warnings: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.Severity.WARNING and message not in self.warnings:
                self.warnings.append(message)

        def keep(self, message: str | None) -> None:
            """Keep a warning of our own, if there is one."""
            if message is not None:
                self.warnings.append(message)

        def last_error(self) -> str:
            return self.errors[-1] if self.errors else "no reason given"

    return BuildLog()


def parser_input(read: OnnxContent) -> bytes:
    """Return the bytes of the file as TensorRT's parser takes them, 16-bit inputs as pairs of 8."""
    paired = with_byte_pairs(read.proto)
    return read.content if paired is None else bytes(paired.SerializeToString())


def with_byte_pairs(original: Any) -> Any | None:
    """Return a copy of a ModelProto whose uint16 inputs are pairs of bytes, None if it has none.

    Raises:
        UnsupportedModel: another node than a cast reads such an input; names it.
    """
    onnx = vendor.onnx()
    uint16 = onnx.TensorProto.UINT16
    if all(value.type.tensor_type.elem_type != uint16 for value in original.graph.input):
        return None
    proto = onnx.ModelProto()
    proto.CopyFrom(original)
    graph = proto.graph
    for value in graph.input:
        if value.type.tensor_type.elem_type != uint16:
            continue
        name = value.name
        joined = f"{name}/pixels"
        for node in graph.node:
            if name not in node.input:
                continue
            if node.op_type != "Cast":
                raise UnsupportedModel(
                    f"TensorRT has no 16-bit integers, and the input {name!r} is used as such",
                    got=f"node {node.name!r} ({node.op_type})",
                    expected="a cast to float32 first",
                )
            node.input[:] = [joined if entry == name else entry for entry in node.input]
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
        value.type.tensor_type.shape.dim.add().dim_value = 2
        _insert_join(onnx, proto, name, joined)
    return proto


def _insert_join(onnx: Any, proto: Any, name: str, joined: str) -> None:
    """Join pairs of bytes: the sum over the last axis of bytes x (1, 256)."""
    graph = proto.graph
    worth = onnx.helper.make_tensor(f"{joined}/worth", onnx.TensorProto.FLOAT, [2], [1.0, 256.0])
    axis = onnx.helper.make_tensor(f"{joined}/axis", onnx.TensorProto.INT64, [1], [-1])
    graph.initializer.extend([worth, axis])
    steps = [
        ("Cast", [name], {"to": onnx.TensorProto.FLOAT}),
        ("Mul", [f"{joined}/Cast", worth.name], {}),
        ("ReduceSum", [f"{joined}/Mul", axis.name], {"keepdims": 0}),
    ]
    for place, (operator, inputs, attributes) in enumerate(steps):
        step = f"{joined}/{operator}"
        outputs = [joined if operator == "ReduceSum" else step]
        graph.node.insert(
            place, onnx.helper.make_node(operator, inputs, outputs, name=step, **attributes)
        )


def _parsed(trt: Any, builder: Any, log: Any, model: OnnxModel, read: OnnxContent) -> Any:
    # TensorRT 10 is strongly typed only on request; 11 always is, and may drop the flag.
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, log)
    # Weights outside the file are found by the path.
    if not parser.parse(parser_input(read), str(model.path)):
        raise _parser_refusal(model, parser, log)
    return network


def _bound(network: Any, name: str, profile: ShapeProfile) -> ShapeProfile:
    """Return the profile with a last axis of two bytes where the input is one of 16 bits."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    rank = next(len(tensor.shape) for tensor in inputs if tensor.name == name)
    pair = (2,) * (rank - len(profile.opt))
    return ShapeProfile(*(shape + pair for shape in profile))


def _timing_file(spec: EngineSpec, version: str, gpu: Gpu | None) -> Path | None:
    """Return the timing cache; None for TensorRT-RTX, which times nothing and may ask for a GPU."""
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
        # The JSON changes between versions, and the engine is built: a warning will do.
        log.keep(f"Cannot read what the engine inspector of {trt.__version__} says: {error!r}")
        return None


def _parser_refusal(model: OnnxModel, parser: Any, log: Any) -> UnetrtError:
    """Return the error for a file that the parser refused; names layers and operators."""
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    unknown = any(error.node_operator() for error in errors)
    return UnsupportedModel(
        f"TensorRT's parser refuses {model.path}",
        got="; ".join(_complaint(error) for error in errors) or log.last_error(),
        hint="use operators that TensorRT has, or run the file with ONNX Runtime"
        if unknown
        else None,
    )


def _builder_refusal(
    model: OnnxModel,
    spec: EngineSpec,
    library: str,
    network: Any,
    trt: Any,
    log: Any,
    gpu: Gpu | None,
) -> UnetrtError:
    """Return the error for a network that the builder refused."""
    complaint = log.last_error()
    said = textwrap.shorten(complaint, _WIDTH, placeholder=" ...")
    upsampling = _bf16_deconvolutions(trt, network)
    if any(word in complaint for word in ("deconv", "implementation", *upsampling) if upsampling):
        return UnsupportedModel(
            f"{library} has no BF16 kernel for a transposed convolution of {model.path}",
            got=f"{', '.join(upsampling)} in bf16 ({said})",
            expected="fp16 or fp32 there",
            hint=f"convert again with `keep={tuple(upsampling)}`",
        )
    if gpu is None and (spec.refittable or spec.stripped):
        argument = "stripped" if spec.stripped else "refittable"
        return NoDevice(
            f"{library} cannot build a {argument} engine without a GPU",
            got=said,
            hint=f"build on a machine that has one, or without `{argument}`",
        )
    if spec.workspace_bytes is not None and "workspace" in said.lower():
        mib = f"{spec.workspace_bytes / 2**20:g} MiB"
        return BadInput(
            f"{library} cannot build {model.path} in a workspace of {mib}",
            got=said,
            hint="raise `workspace_bytes`, or leave it out",
        )
    return UnsupportedModel(f"{library} cannot build {model.path}", got=said)


def _complaint(error: Any) -> str:
    """Return where and why; of an operator it lacks, the parser gives no reason but "false"."""
    operator, layer, reason = error.node_operator(), error.node_name(), error.desc()
    if not operator:
        return f"{layer or 'the file'}: {reason}"
    where = f"layer {layer!r}, operator {operator}"
    return f"{where}, which it lacks" if reason in {"", "false"} else f"{where}: {reason}"


def _bf16_deconvolutions(trt: Any, network: Any) -> list[str]:
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return [
        layer.name
        for layer in layers
        if layer.type == trt.LayerType.DECONVOLUTION
        and layer.get_input(0).dtype == trt.DataType.BF16
    ]

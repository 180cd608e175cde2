"""Put new weights for the same network into an engine without building it again."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.engine_compatibility import check_gpu, check_version
from unetrt.errors import ArtifactError, BadInput, NoDevice, UnsupportedModel
from unetrt.gpu import find_gpu

from .onnx_proto import architecture, read_content
from .to_engine import build_log, engine_path, parser_input

__all__ = ["refit_engine"]


def refit_engine(
    engine: Engine | str | Path, model: OnnxModel | str | Path, path: str | Path
) -> Engine:
    """Write an engine with the weights of an ONNX file.

    The network must be the one that the engine was built from: the same nodes, names, types and
    shapes. Compare the new engine with the ONNX file before you trust it, as after a build.

    Args:
        engine: an engine, or its path, that was built with `refittable=True`, or with
            `stripped=True` from this very file.
        model: the network with the new weights, or its path.
        path: the engine to write; its name ends in .engine.

    Raises:
        BadInput: the engine was not built to be refitted, or with other weights than these.
        ArtifactError: the network is another one, or another version built the engine.
        NoDevice: there is no GPU, or not the one that the engine was built for.
        UnsupportedModel: the library refuses the weights; gives its reason.

    >>> from unetrt.convert.to_engine import EngineSpec, build_engine
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> engine = build_engine(model, Path("model.engine"), EngineSpec(backend="tensorrt-rtx"))
    >>> refit_engine(engine, model, Path("new.engine"))
    Traceback (most recent call last):
        ...
    unetrt.errors.BadInput: model.engine cannot take new weights: got an engine with its weights
    built in, expected one built with `refittable=True`; build it again with `refittable=True`.
    """
    path, engine, model = engine_path(path), Engine.of(engine), OnnxModel.of(model)
    _check_refittable(engine, model)
    read = read_content(model)
    if architecture(read.proto) != engine.architecture:
        raise ArtifactError(
            f"{model.path} is not the network that {engine.path} was built from",
            got="other nodes, names, types or shapes",
            expected="the same network with other weights",
            hint="build an engine from it",
        )
    check_gpu(engine, find_gpu())
    trt = vendor.tensorrt(engine.backend)
    check_version(engine, trt.__version__)
    log = build_log(trt)
    runtime = trt.Runtime(log)
    if engine.target.version_compatible:
        runtime.engine_host_code_allowed = True
    opened = runtime.deserialize_cuda_engine(engine.path.read_bytes())
    if opened is None:
        raise NoDevice(f"{engine.backend} refuses {engine.path}", got=log.last_error())
    _refit(trt, log, opened, model, parser_input(read))
    plan = opened.serialize_with_config(_with_weights(trt, opened))
    refitted = None if plan is None else runtime.deserialize_cuda_engine(plan)
    if refitted is None:
        raise UnsupportedModel(
            f"{engine.backend} cannot store the refitted engine", got=log.last_error()
        )
    own = {field.name: getattr(engine, field.name) for field in fields(engine)}
    del own["path"], own["sha256"]
    changes = {
        "classes": model.classes,
        "sizes": model.sizes,
        "normalization": model.normalization,
        "golden": model.golden,
        "source": model.as_source,
        "made_with": engine.made_with | {"refitted_from": engine.as_source},
        "stripped": False,
        "refittable": engine.refittable and refitted.refittable,
        "warnings": tuple(log.warnings),
    }
    return Engine.write(
        path, lambda temporary: temporary.write_bytes(memoryview(plan)), **own | changes
    )


def _check_refittable(engine: Engine, model: OnnxModel) -> None:
    if engine.refittable:
        return
    if not engine.stripped:
        raise BadInput(
            f"{engine.path} cannot take new weights",
            got="an engine with its weights built in",
            expected="one built with `refittable=True`",
            hint="build it again with `refittable=True`",
        )
    if engine.source.get("sha256") != model.sha256:
        raise BadInput(
            f"{engine.path} takes back its own weights alone",
            got=model.path.name,
            expected=f"{engine.source.get('file')}, the very file it was built from",
            hint="for other weights build it with `stripped=True` and `refittable=True`",
        )


def _refit(trt: Any, log: Any, opened: Any, model: OnnxModel, content: bytes) -> None:
    refitter = trt.Refitter(opened, log)
    parser = trt.OnnxParserRefitter(refitter, log)
    if not parser.refit_from_bytes(content, str(model.path)):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise UnsupportedModel(
            f"The engine does not take the weights of {model.path}",
            got="; ".join(reasons) or log.last_error(),
        )
    missing = refitter.get_missing_weights()
    if missing or not refitter.refit_cuda_engine():
        raise UnsupportedModel(
            f"The engine does not take the weights of {model.path}",
            got=f"none for {', '.join(missing)}" if missing else log.last_error(),
        )


def _with_weights(trt: Any, opened: Any) -> Any:
    """Return a configuration that stores weights, and lets them be refitted again where it can."""
    config = opened.create_serialization_config()
    config.clear_flag(trt.SerializationFlag.EXCLUDE_WEIGHTS)
    refit = getattr(trt.SerializationFlag, "INCLUDE_REFIT", None)  # TensorRT 10.12 has none
    if refit is not None:
        config.set_flag(refit)
    return config

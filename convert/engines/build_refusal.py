"""Why a library did not build, in words that say what to do."""

from __future__ import annotations

import textwrap
from typing import Any

from unetrt.artifacts import OnnxModel
from unetrt.errors import BadInput, NoDevice, UnetrtError, UnsupportedModel
from unetrt.gpu import Gpu

from .engine_spec import EngineSpec

__all__ = ["builder_refusal", "parser_refusal"]

_WIDTH = 300
"""Characters of a builder's complaint: some list whole tensors."""


def parser_refusal(model: OnnxModel, parser: Any, log: Any) -> UnetrtError:
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


def builder_refusal(
    model: OnnxModel, spec: EngineSpec, what: str, network: Any, trt: Any, log: Any, gpu: Gpu | None
) -> UnetrtError:
    """Return the error for a network that the builder refused; `what` names the library."""
    complaint = log.last_error()
    said = textwrap.shorten(complaint, _WIDTH, placeholder=" ...")
    upsampling = _bf16_deconvolutions(trt, network)
    if any(word in complaint for word in ("deconv", "implementation", *upsampling) if upsampling):
        return UnsupportedModel(
            f"{what} has no BF16 kernel for a transposed convolution of {model.path}",
            got=f"{', '.join(upsampling)} in bf16 ({said})",
            expected="fp16 or fp32 there",
            hint="convert again with --keep " + " --keep ".join(map(repr, upsampling)),
        )
    if gpu is None and (spec.refittable or spec.stripped):
        option = "--stripped" if spec.stripped else "--refittable"
        return NoDevice(
            f"{what} cannot build a {option[2:]} engine without a GPU",
            got=said,
            hint=f"build on a machine that has one, or without {option}",
        )
    if spec.workspace_bytes is not None and "workspace" in said.lower():
        mib = f"{spec.workspace_bytes / 2**20:g} MiB"
        return BadInput(
            f"{what} cannot build {model.path} in a workspace of {mib}",
            got=said,
            hint="raise --workspace, or leave it out",
        )
    return UnsupportedModel(f"{what} cannot build {model.path}", got=said)


def _complaint(error: Any) -> str:
    """Say where and why; of an operator it lacks, the parser gives no reason but "false"."""
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

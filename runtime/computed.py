"""What an engine computes in, as its sidecar says."""

from __future__ import annotations

from unetrt.artifacts import Engine, OnnxModel

__all__ = ["computes_in"]

_TYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}


def computes_in(artifact: OnnxModel | Engine) -> str:
    """Return the type of its convolutions, "tf32" for float32 ones that may round to it."""
    if (
        artifact.precision == "fp32"
        and isinstance(artifact, Engine)
        and artifact.receipt.get("tf32")
    ):
        return "tf32"
    return _TYPES.get(artifact.precision, artifact.precision)

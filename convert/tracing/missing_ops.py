"""TensorFlow operations that tf2onnx does not know, in operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["HANDLERS"]


def _erfc(context: Any, node: Any, _name: str, _args: Any) -> None:
    """Write erfc(x) as 1 - erf(x); Keras' exact GELU is made of it."""
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    context.remove_node(node.name)
    erf = context.make_node("Erf", list(node.input), name=f"{node.name}/erf")
    one = context.make_const(f"{node.name}/one", np.ones((), np.float32))
    context.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        name=node.name,
        outputs=list(node.output),
        shapes=[shape],
        dtypes=[dtype],
    )


HANDLERS: dict[str, tuple[Callable[..., None], list[Any]]] = {"Erfc": (_erfc, [])}
"""As tf2onnx takes them: by the operation's name, with further arguments."""

"""Time Keras on TensorFlow: `predict_on_batch`, and a tf.function, with XLA and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from unetrt import vendor
from unetrt.builder import UNetSpec, build_unet
from unetrt.errors import BadInput, UnsupportedModel

from .serving import Task, host_times, serve

__all__ = ["keras_model_of"]


class _Keras:
    def __init__(self, task: Task) -> None:
        keras = vendor.keras()
        import tensorflow as tf  # noqa: PLC0415  (vendor.keras sets what it reads at import)

        vendor.tensorflow_without_tf32()
        gpus = tf.config.list_logical_devices("GPU")
        if task.device == "gpu" and not gpus:
            raise RuntimeError("TensorFlow sees no GPU; see its own words above")
        model = keras_model_of(task.onnx)
        image = task.image.astype(np.float32)
        self._run: Callable[[], Any]
        configuration: dict[str, Any] = {
            "threads": "default",
            "tf32": False,
            "onednn": True,
        }
        if task.variant == "predict":
            # keras.io, "Model training APIs": for one batch, without predict()'s loop. It takes
            # and gives NumPy arrays: on a GPU the copies are a part of it.
            self._run = lambda: model.predict_on_batch(image)
            configuration["call"] = "predict_on_batch"
        else:
            # tensorflow.org/guide/function and tensorflow.org/xla: a fixed signature, compiled.
            x = tf.constant(image)
            signature = [tf.TensorSpec(x.shape, x.dtype)]
            compiled = task.variant == "xla"
            function = tf.function(
                lambda given: model(given, training=False),
                input_signature=signature,
                jit_compile=compiled or None,
            ).get_concrete_function()
            synchronize = tf.test.experimental.sync_devices if gpus else None
            self._run = lambda: _finished(function(x), synchronize)
            configuration |= {"call": "tf.function", "jit_compile": compiled}
        self._run()
        self.info = {
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
            "device": gpus[0].name if gpus else "cpu",
            "computes_in": "float32",
            "configuration": configuration,
        }

    def time_runs(self, count: int) -> dict[str, list[int]]:
        return host_times(self._run, count)

    def predict(self) -> NDArray[Any]:
        return np.asarray(self._run())


def _finished(output: Any, synchronize: Callable[[], None] | None) -> Any:
    """Return the output when it is there: a GPU's comes later than the call returns."""
    if synchronize is not None:
        synchronize()
    return output


_ADVICE = "Keras is timed on the builder's U-Nets without normalisation alone"
_KEPT = {
    "Conv", "ConvTranspose", "Relu", "MaxPool", "Concat", "Softmax", "Sigmoid", "Transpose",
    "Slice",
}  # fmt: skip
"""Nodes that the builder's U-Net without normalisation is exported to."""


def keras_model_of(path: Path) -> keras.Model:
    """Build the U-Net that a file of ours was exported from, or filled as, with its weights.

    Raises:
        UnsupportedModel: the graph is not a U-Net of the builder without normalisation.
    """
    graph = onnx.load(path).graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes = {node.name: node for node in graph.node}
    others = {node.op_type for node in graph.node} - _KEPT
    if others:
        raise UnsupportedModel(
            f"Keras cannot be given the weights of {path.name}",
            got=f"nodes {', '.join(sorted(others))}",
            expected="a U-Net without normalisation, in float32",
            hint=_ADVICE,
        )
    try:
        model = build_unet(_spec(graph, nodes, weights))
        _fill(model, nodes, weights)
    except (KeyError, IndexError, BadInput, ValueError) as error:
        raise UnsupportedModel(
            f"Keras cannot be given the weights of {path.name}", got=repr(error), hint=_ADVICE
        ) from error
    return model


def _spec(
    graph: onnx.GraphProto, nodes: dict[str, onnx.NodeProto], weights: dict[str, NDArray[Any]]
) -> UNetSpec:
    def kernel(layer: str) -> NDArray[Any]:
        return weights[nodes[layer].input[1]]

    levels = 0
    while f"down{levels + 1}/conv1" in nodes:
        levels += 1
    first = nodes["down1/conv1"]
    pads = next((list(a.ints) for a in first.attribute if a.name == "pads"), [0])
    auto = next((a.s for a in first.attribute if a.name == "auto_pad"), b"")
    height, width, channels = (d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[1:])
    return UNetSpec(
        shape=(height or None, width or None, channels),
        n_classes=kernel("logits").shape[0],
        filters=tuple(kernel(f"down{k}/conv1").shape[0] for k in range(1, levels + 1)),
        bottleneck=kernel("bottleneck/conv1").shape[0],
        kernel_size=kernel("down1/conv1").shape[-1],
        padding="same" if any(pads) or auto.startswith(b"SAME") else "valid",
        upsampling_kernel=kernel("up1/upconv").shape[-1],
        head="softmax" if any(n.op_type == "Softmax" for n in graph.node) else "sigmoid",
    )


def _fill(
    model: keras.Model, nodes: dict[str, onnx.NodeProto], weights: dict[str, NDArray[Any]]
) -> None:
    filled = set()
    for name, layer in _layers(model):
        if not layer.weights:
            continue
        node = nodes[name]
        # ONNX: [out, in, height, width], of a transposed convolution [in, out, height, width].
        # Keras: [height, width, in, out], of a transposed convolution [height, width, out, in].
        kernel = np.transpose(weights[node.input[1]], (2, 3, 1, 0))
        layer.set_weights([kernel, *(weights[bias] for bias in node.input[2:])])
        filled.add(name)
    left = {n for n, node in nodes.items() if node.op_type in {"Conv", "ConvTranspose"}} - filled
    if left:
        raise ValueError(f"layers that Keras lacks: {', '.join(sorted(left))}")


def _layers(model: keras.Model, prefix: str = "") -> list[tuple[str, keras.layers.Layer]]:
    """Return the layers that are no models, named by where they stand: down1/conv1."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _layers(layer, f"{prefix}{layer.name}/")
        else:
            found.append((prefix + layer.name, layer))
    return found


if __name__ == "__main__":
    serve(_Keras)

"""Keras on TensorFlow: `predict_on_batch`, and the model in a tf.function, with XLA and without."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor

from .serving import Task, host_times, serve


class _Keras:
    def __init__(self, task: Task) -> None:
        if task.threads is not None:
            os.environ["TF_NUM_INTRAOP_THREADS"] = str(task.threads)  # read when it starts
        keras = vendor.keras()
        import tensorflow as tf  # noqa: PLC0415  (vendor.keras sets what it reads at import)

        from .keras_weights import keras_twin  # noqa: PLC0415

        vendor.tensorflow_without_tf32()
        gpus = tf.config.list_logical_devices("GPU")
        if task.device == "gpu" and not gpus:
            raise RuntimeError("TensorFlow sees no GPU; see its own words above")
        if task.keras is None:
            model = keras_twin(task.onnx)
        else:
            from unetrt.builder.saved import load_model  # noqa: PLC0415

            model, _ = load_model(task.keras)
        image = task.image.astype(np.float32)
        self._run: Callable[[], Any]
        configuration: dict[str, Any] = {
            "threads": task.threads or "default",
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

    def times(self, count: int) -> dict[str, list[int]]:
        return host_times(self._run, count)

    def answer(self) -> NDArray[Any]:
        return np.asarray(self._run())


def _finished(answer: Any, synchronize: Callable[[], None] | None) -> Any:
    """Return the answer when it is there: a GPU's comes later than the call returns."""
    if synchronize is not None:
        synchronize()
    return answer


if __name__ == "__main__":
    serve(_Keras)

"""What TensorBoard shows of a training: curves, and overlays of a few validation images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from unetrt import vendor
from unetrt.data import Sample
from unetrt.data.writing import panels
from unetrt.sizes import SizeRule, as_batch

from .history import Epoch

__all__ = ["TensorBoardLog"]

_SHOWN = 3


class TensorBoardLog:
    """Writes an epoch at a time. Keras' own callback shows no images and writes the graph."""

    def __init__(self, folder: Path, samples: Sequence[Sample], sizes: SizeRule) -> None:
        """Begin, or go on with, the logs in `folder`.

        Raises:
            MissingDependency: tensorboard is not installed.
        """
        vendor.need("tensorboard", extra="train", purpose="Logging a training")
        self._writer = tf.summary.create_file_writer(str(folder))
        self._samples = samples[:: max(1, len(samples) // _SHOWN)][:_SHOWN]
        self._sizes = sizes

    def write(self, epoch: Epoch, model: keras.Model, *, images: bool) -> None:
        """Log an epoch's figures and, if asked, what `model` makes of the images."""
        with self._writer.as_default(step=epoch.epoch):
            for name in ("loss", "val_dice", "learning_rate"):
                tf.summary.scalar(name, getattr(epoch, name))
            for sample in self._samples if images else ():
                height, width = sample.label.shape
                answer = model.predict_on_batch(as_batch(sample.image, self._sizes))
                classes = answer[0, :height, :width].argmax(axis=-1)
                shown = panels(sample.image, sample.label, classes)
                tf.summary.image(sample.name, shown[None])
        self._writer.flush()

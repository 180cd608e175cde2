"""Train the U-Net that one writes in an afternoon: the baseline that training is held against.

Three poolings, 16 to 128 filters, batch normalisation; each file scaled by its own percentiles,
random crops of at most 128 x 128, flips, cross-entropy and Dice, Adam with a cosine over the
time. It shares no code with the builder, so that what is wrong there is not wrong here too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data import IGNORED, Dataset, Sample
from unetrt.data.dataset import files_of

__all__ = ["plain_network", "predict", "train"]

Pixels = NDArray[np.float32]

_FILTERS = (16, 32, 64, 128)
_MULTIPLE = 8
_LONGEST = 128
_BATCH_PIXELS, _LARGEST_BATCH = 16 * _LONGEST**2, 64
_PERCENTILES = (0.5, 99.5)
_RATE = 2e-3
_WARM_UP = 0.05
"""Share of the time over which the learning rate rises."""

_TILE, _MARGIN = 512, 64
"""Sides of the parts in which larger images are predicted, and what overlaps at each edge."""


def plain_network(channels: int, n_classes: int) -> Any:
    """Build the network: [batch, height, width, channels] in, probabilities of classes out."""
    keras = vendor.keras()
    layers = keras.layers

    def twice(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        return x

    x = inputs = keras.Input((None, None, channels))
    skips = []
    for filters in _FILTERS[:-1]:
        x = twice(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = twice(x, _FILTERS[-1])
    for filters, skip in zip(_FILTERS[-2::-1], skips[::-1], strict=True):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = twice(layers.Concatenate()([skip, x]), filters)
    return keras.Model(inputs, layers.Conv2D(n_classes, 1, activation="softmax")(x))


def train(
    data: Dataset,
    file: Path,
    *,
    minutes: float,
    seed: int,
    network: Callable[[int, int], Any] = plain_network,
    multiple: int = _MULTIPLE,
) -> dict[str, Any]:
    """Train for so many minutes from the first step on, and write the last weights.

    Args:
        data: its training images are learnt; the others are not looked at.
        file: a .keras, to be written.
        minutes: on the clock.
        seed: of weights, crops and flips.
        network: builds the network from the numbers of channels and classes.
        multiple: of the sides that it takes.

    Returns:
        Steps, parameters, crop and batch.
    """
    keras = vendor.keras()
    keras.utils.set_random_seed(seed)
    images = scaled(data.train)
    labels = [sample.label for sample in data.train]
    height, width = (
        min(_LONGEST, _up(max(label.shape[axis] for label in labels), multiple)) for axis in (0, 1)
    )
    batch = max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // (height * width)))
    n_classes = len(data.classes)
    model = network(data.channels, n_classes)
    model.compile(keras.optimizers.Adam(_RATE), _loss(n_classes), jit_compile=False)
    random = np.random.default_rng(seed)
    began, steps = time.monotonic(), 0
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        rise = min(1.0, (share + 1e-3) / _WARM_UP)
        model.optimizer.learning_rate = _RATE * rise * (1 + math.cos(math.pi * share)) / 2
        x, y = _batch(images, labels, (height, width), batch, random)
        model.train_on_batch(x, y)
        steps += 1
        if steps == 1:  # which compiled the network
            began = time.monotonic()
    model.save(file)
    return {
        "steps": steps,
        "parameters": model.count_params(),
        "crop": [height, width],
        "batch": batch,
    }


def predict(
    file: Path, samples: Sequence[Sample], *, multiple: int = _MULTIPLE
) -> Iterator[NDArray[np.uint8]]:
    """Yield the likeliest class of each pixel of each image, uint8 [height, width]."""
    model = vendor.keras().models.load_model(file, compile=False)
    for image in scaled(samples):
        labels = np.empty(image.shape[:2], np.uint8)
        for top in range(0, image.shape[0], _TILE):
            for left in range(0, image.shape[1], _TILE):
                y, x = max(0, top - _MARGIN), max(0, left - _MARGIN)
                part = image[y : top + _TILE + _MARGIN, x : left + _TILE + _MARGIN]
                found = _predicted(model, part, multiple)[top - y :, left - x :]
                place = labels[top : top + _TILE, left : left + _TILE]
                place[...] = found[: place.shape[0], : place.shape[1]]
        yield labels


def scaled(samples: Sequence[Sample]) -> list[Pixels]:
    """Return the images scaled to 0 to 1 between the percentiles of each file, by channel."""
    images = {}
    for pages in files_of(samples).values():
        channels = pages[0].image.shape[2]
        pixels = np.concatenate([page.image.reshape(-1, channels) for page in pages])
        low, high = np.percentile(pixels, _PERCENTILES, axis=0)
        for page in pages:
            between = (page.image - low) / np.maximum(high - low, 1e-9)
            images[page.name] = np.clip(between, 0, 1).astype(np.float32)
    return [images[sample.name] for sample in samples]


def _batch(
    images: Sequence[Pixels],
    labels: Sequence[NDArray[np.uint8]],
    size: tuple[int, int],
    count: int,
    random: np.random.Generator,
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Cut random crops, flipped at random; images that are smaller are padded with zeros."""
    x = np.zeros((count, *size, images[0].shape[2]), np.float32)
    y = np.full((count, *size), IGNORED, np.uint8)
    for k, number in enumerate(random.integers(0, len(images), count)):
        image, label = images[number], labels[number]
        top, left = (
            int(random.integers(0, max(0, side - length) + 1))
            for side, length in zip(label.shape, size, strict=True)
        )
        cut = np.s_[top : top + size[0], left : left + size[1]]
        crop, numbers = image[cut], label[cut]
        for axis in (0, 1):
            if random.integers(2):
                crop, numbers = np.flip(crop, axis), np.flip(numbers, axis)
        place = np.s_[k, : crop.shape[0], : crop.shape[1]]
        x[place], y[place] = crop, numbers
    return x, y


def _loss(n_classes: int) -> Callable[[Any, Any], Any]:
    """Return cross-entropy plus one minus the batch's mean Dice, without the ignored pixels."""
    ops = vendor.keras().ops

    def loss(truth: Any, prediction: Any) -> Any:
        truth = ops.cast(truth, "int32")
        known = ops.cast(ops.not_equal(truth, IGNORED), "float32")[..., None]
        # The number of the ignored is beyond the classes, so that its row is zeros.
        shown = ops.one_hot(truth, n_classes) * known
        prediction = ops.clip(prediction, 1e-6, 1.0) * known
        pixels = ops.maximum(ops.sum(known), 1.0)
        entropy = -ops.sum(shown * ops.log(prediction + 1e-6)) / pixels
        both = ops.sum(shown * prediction, axis=(0, 1, 2))
        sizes = ops.sum(shown, axis=(0, 1, 2)) + ops.sum(prediction, axis=(0, 1, 2))
        return entropy + 1 - ops.mean(((2 * both + 1) / (sizes + 1))[1:])

    return loss


def _predicted(model: Any, part: Pixels, multiple: int) -> NDArray[np.int64]:
    height, width = part.shape[:2]
    padding = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    x = np.pad(part, padding, mode="edge")[np.newaxis]
    labels: NDArray[np.int64] = model.predict_on_batch(x)[0, :height, :width].argmax(axis=-1)
    return labels


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple

"""Crops that training sees: drawn at random, turned, flipped, brightened."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.data import Sample
from unetrt.padding import mirrored_to_size

__all__ = ["CropStream"]

_FOREGROUND_TRIES = 4
_FEWEST_STEPS = 50


class CropStream:
    """Batches (pixels float32 NHWC, classes uint8 NHW), each a function of the seed and its number.

    A crop without foreground is drawn again a few times, so that empty corners do not fill the
    batches; quarter turns and flips need no interpolation; contrast varies by up to a factor of
    1.5 and brightness by a tenth of the data's standard deviation.
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        *,
        crop: int,
        batch: int,
        pixel_std: float,
        seed: int,
    ) -> None:
        self._images = [mirrored_to_size(sample.image, crop, crop) for sample in samples]
        self._labels = [mirrored_to_size(sample.label, crop, crop) for sample in samples]
        self._crop = crop
        self._batch = batch
        self._pixel_std = pixel_std
        self._seed = seed

    @property
    def channels(self) -> int:
        """Channels of every crop."""
        return int(self._images[0].shape[2])

    @property
    def steps_per_epoch(self) -> int:
        """Batches that hold as many pixels as the images do; more where those are few.

        Each epoch ends with a validation, which must not take a small set's time.
        """
        pixels = sum(label.size for label in self._labels)
        return max(_FEWEST_STEPS, round(pixels / (self._batch * self._crop**2)))

    def batch(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Draw the batch of that number."""
        random = np.random.default_rng((self._seed, int(number)))
        crops = [self._draw(random) for _ in range(self._batch)]
        return np.stack([image for image, _ in crops]), np.stack([label for _, label in crops])

    def _draw(self, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        image, label = self._cut(random)
        for _ in range(_FOREGROUND_TRIES):
            if label.any():
                break
            image, label = self._cut(random)
        turns = int(random.integers(4))
        image, label = np.rot90(image, turns), np.rot90(label, turns)
        if random.random() < 0.5:  # noqa: PLR2004
            image, label = image[:, ::-1], label[:, ::-1]
        contrast = np.exp(random.uniform(-0.4, 0.4))
        brightness = random.uniform(-0.1, 0.1) * self._pixel_std
        return (image * contrast + brightness).astype(np.float32), label

    def _cut(self, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        k = int(random.integers(len(self._images)))
        height, width = self._labels[k].shape
        top = int(random.integers(height - self._crop + 1))
        left = int(random.integers(width - self._crop + 1))
        window = np.s_[top : top + self._crop, left : left + self._crop]
        return self._images[k][window], self._labels[k][window]

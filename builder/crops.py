"""Draw the crops that training sees: at random, deformed, turned, flipped, brightened."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

from unetrt.data import IGNORED, Sample
from unetrt.sizes import SizeRule, mirrored_to_size

from .train_spec import Augmentation

__all__ = ["CropStream", "border_weights", "displaced", "displacement", "sampled"]

_FEWEST_STEPS = 50
_KEPT_PIXELS = 1000
"""Pixels of each class in each image that a crop may be centred on."""

_NODES = 3
"""Nodes of the displacement grid along each side."""

_BORDER_SIGMAS = 5
"""Sigmas beyond which a border weight is nothing: exp(-12.5)."""


class CropStream:
    """Draw batches of crops, each a function of the seed and its number alone.

    A batch is (pixels float32 [batch, side, side, channels], classes uint8 [batch, s, s]) and, with
    `border`, the pixels' weights float32 [batch, s, s]. For networks that pad, s is the side; an
    unpadded one sees a margin around the pixels it labels.

    Args:
        samples: images of at least one pixel; small ones are mirrored out to a crop.
        crop: smallest side of the labels, in pixels; the network may need some pixels more.
        batch: crops a batch.
        sizes: sizes that the network takes.
        pixel_std: standard deviation of the pixels, which brightness is measured in.
        seed: of everything drawn.
        augmentation: how crops are varied.
        border: add border weights; all samples must have instances.

    Attributes:
        image_side: side of the pixels of a crop.
        label_side: side of its labels.

    Example:
        >>> from unetrt.data import load_dataset
        >>> options = {"sizes": SizeRule(8), "pixel_std": 50.0, "augmentation": Augmentation()}
        >>> stream = CropStream(load_dataset("cells").train, crop=32, batch=4, seed=0, **options)
        >>> pixels, classes = stream.batch(0)
        >>> pixels.shape, classes.shape
        ((4, 32, 32, 1), (4, 32, 32))
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        *,
        crop: int,
        batch: int,
        sizes: SizeRule,
        pixel_std: float,
        seed: int,
        augmentation: Augmentation,
        border: bool = False,
    ) -> None:
        self.image_side = sizes.covering(crop)
        self.label_side = self.image_side - 2 * sizes.margin
        self._margin = sizes.margin
        self._batch = batch
        self._pixel_std = pixel_std
        self._seed = seed
        self._augmentation = augmentation
        self._border = border
        self._sources = [self._source(k, sample) for k, sample in enumerate(samples)]
        classes = sorted({c for source in self._sources for c in source.pixels})
        self._showing = {
            c: [k for k, source in enumerate(self._sources) if c in source.pixels] for c in classes
        }

    @property
    def channels(self) -> int:
        """Return the channels of every crop."""
        return int(self._sources[0].image.shape[2])

    @property
    def steps_per_epoch(self) -> int:
        """Return the batches that hold as many pixels as the images do, but at least 50.

        Each epoch ends with a validation, which must not dominate the time of a small set.
        """
        pixels = sum(source.label.size for source in self._sources)
        return max(_FEWEST_STEPS, round(pixels / (self._batch * self.label_side**2)))

    def batch(self, number: int) -> tuple[NDArray[Any], ...]:
        """Draw the batch of that number; several threads may."""
        random = np.random.default_rng((self._seed, int(number)))
        crops = [self._draw(random) for _ in range(self._batch)]
        return tuple(np.stack(parts) for parts in zip(*crops, strict=True))

    def _source(self, number: int, sample: Sample) -> _CropSource:
        def mirrored(array: NDArray[Any], margin: int = 0) -> NDArray[Any]:
            height, width = (max(n, self.label_side) + 2 * margin for n in array.shape[:2])
            return mirrored_to_size(array, height, width, margin=margin)

        label = mirrored(sample.label)
        random = np.random.default_rng((self._seed, number))
        pixels = {}
        for c in np.unique(label):
            if c not in (0, IGNORED):
                found = np.flatnonzero(label == c)
                pixels[int(c)] = random.choice(found, min(len(found), _KEPT_PIXELS), replace=False)
        weights = None
        if self._border:
            assert sample.instances is not None  # noqa: S101  (check_loss saw to it)
            weights = mirrored(border_weights(sample.instances))
        return _CropSource(mirrored(sample.image, self._margin), label, weights, pixels)

    def _draw(self, random: np.random.Generator) -> tuple[NDArray[Any], ...]:
        vary = self._augmentation
        source, corner = self._place(random)
        if vary.elastic and random.random() < vary.elastic_share:
            moved = displacement(self.image_side, vary.elastic, random)
            parts = self._deformed(source, corner, moved)
        else:
            parts = self._cut(source, corner)
        if vary.turns:
            turns = int(random.integers(4))
            parts = [np.rot90(part, turns) for part in parts]
        if vary.flips and random.random() < 0.5:  # noqa: PLR2004
            parts = [part[:, ::-1] for part in parts]
        image, *labels = parts
        image = image.astype(np.float32)
        if random.random() < vary.intensity_share:
            contrast = np.exp(random.uniform(-vary.contrast, vary.contrast))
            brightness = random.uniform(-vary.brightness, vary.brightness) * self._pixel_std
            image = image * np.float32(contrast) + np.float32(brightness)
        return (image, *labels)

    def _place(self, random: np.random.Generator) -> tuple[_CropSource, tuple[int, int]]:
        """Choose an image, and the corner of the labels of the crop in it."""
        side = self.label_side
        if self._showing and random.random() < self._augmentation.foreground:
            shown = int(random.choice(list(self._showing)))
            source = self._sources[int(random.choice(self._showing[shown]))]
            pixel = divmod(int(random.choice(source.pixels[shown])), source.label.shape[1])
            # In the middle half of the crop, so that something of its surroundings shows.
            begin = [at - int(random.integers(side // 4, side - side // 4)) for at in pixel]
        else:
            source = self._sources[int(random.integers(len(self._sources)))]
            begin = [int(random.integers(n - side + 1)) for n in source.label.shape]
        top, left = (
            min(max(0, at), n - side) for at, n in zip(begin, source.label.shape, strict=True)
        )
        return source, (top, left)

    def _cut(self, source: _CropSource, corner: tuple[int, int]) -> list[NDArray[Any]]:
        top, left = corner
        side = self.label_side
        image = source.image[top : top + self.image_side, left : left + self.image_side]
        inside = np.s_[top : top + side, left : left + side]
        return [image, *(labels[inside] for labels in source.labels)]

    def _deformed(
        self, source: _CropSource, corner: tuple[int, int], moved: NDArray[np.float32]
    ) -> list[NDArray[Any]]:
        places = displaced(corner, moved)
        channels = [
            sampled(source.image[:, :, c], places, smooth=True) for c in range(self.channels)
        ]
        inner = slice(self._margin, self._margin + self.label_side)
        # The image begins a margin before its labels do.
        inside = places[:, inner, inner] - np.float32(self._margin)
        labels = [sampled(part, inside, smooth=False) for part in source.labels]
        return [np.stack(channels, axis=-1), *labels]


def border_weights(
    instances: NDArray[np.integer], *, w0: float = 10.0, sigma: float = 5.0
) -> NDArray[np.float32]:
    """Weigh the background between objects: 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)); objects, 1.

    d1 and d2 are the distances in pixels to the nearest object and to the second nearest
    (Ronneberger et al. 2015, eq. 2). Each object's distance is measured in a window around it, as
    far as it makes a difference.

    Args:
        instances: [height, width], the number of the object at each pixel, 0 where there is none.
        w0: weight added where two objects touch.
        sigma: pixels over which the weight fades.

    Example:
        >>> border_weights(np.array([[1, 0, 2]])).round(1)
        array([[ 1. , 10.2,  1. ]], dtype=float32)
    """
    window_margin = int(np.ceil(_BORDER_SIGMAS * sigma))
    nearest = np.full(instances.shape, np.inf, np.float32)
    second = nearest.copy()
    for number, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:  # a number that no pixel has
            continue
        window = tuple(slice(max(0, s.start - window_margin), s.stop + window_margin) for s in box)
        distance = ndimage.distance_transform_edt(instances[window] != number)
        one, two = nearest[window], second[window]  # views
        two[...] = np.minimum(two, np.maximum(one, distance))
        one[...] = np.minimum(one, distance)
    weights = 1 + w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where(instances > 0, 1, weights).astype(np.float32)


def displacement(side: int, sd: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw how far each pixel of a crop moves: [2, side, side], rows first, in pixels.

    The nodes of a 3 x 3 grid move by a normal distance of `sd`; a spline lies between them.
    """
    basis = _basis(side)
    nodes = random.normal(scale=sd, size=(2, _NODES, _NODES)).astype(np.float32)
    return np.asarray(basis @ nodes @ basis.T, np.float32)


def displaced(corner: tuple[int, int], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the places in the whole image of the pixels of a crop that begins at `corner`."""
    side = np.arange(moved.shape[1], dtype=np.float32)
    return np.stack([moved[0] + (corner[0] + side)[:, None], moved[1] + (corner[1] + side)])


def sampled(image: NDArray[Any], places: NDArray[np.float32], *, smooth: bool) -> NDArray[Any]:
    """Return `image` [height, width] at `places` [2, h, w], mirrored beyond its edges.

    Bilinear and float32 if `smooth`, else the nearest pixel in the image's own type.
    """
    kind = np.float32 if smooth else image.dtype
    return np.asarray(
        ndimage.map_coordinates(
            image, places, output=kind, order=1 if smooth else 0, mode="reflect", prefilter=False
        )
    )


class _CropSource(NamedTuple):
    """Hold an image with its labels, mirrored out: labels begin a margin further in."""

    image: NDArray[Any]
    label: NDArray[np.uint8]
    weights: NDArray[np.float32] | None
    pixels: dict[int, NDArray[np.int64]]

    @property
    def labels(self) -> list[NDArray[Any]]:
        """Return the label and, if there are any, the weights of its pixels."""
        return [self.label] if self.weights is None else [self.label, self.weights]


@cache
def _basis(side: int) -> NDArray[np.float32]:
    """Return the contribution of each node to each of `side` pixels: [side, 3]."""
    nodes = np.linspace(0, side - 1, _NODES)
    spline = interpolate.CubicSpline(nodes, np.eye(_NODES))
    return np.asarray(spline(np.arange(side)), np.float32)

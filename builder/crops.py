"""Draw the crops that training sees: at random, turned, zoomed, deformed, recoloured."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

from unetrt.data import IGNORED, Sample
from unetrt.sizes import SizeRule, mirrored_to_size

from .train_spec import Augmentation

__all__ = ["CropStream", "border_weights", "displacement", "sampled", "varied"]

_FEWEST_STEPS, _MOST_STEPS = 50, 500
_KEPT_PIXELS = 1000
"""Pixels of each class in each image that a crop may be centred on."""

_NODES = 3
"""Nodes of the displacement grid along each side."""

_HALF = 0.5
_QUARTERS = tuple(np.linalg.matrix_power([[0.0, -1.0], [1.0, 0.0]], k) for k in range(4))

_BORDER_SIGMAS = 5
"""Sigmas beyond which a border weight is nothing: exp(-12.5)."""


class CropStream:
    """Draw batches of crops, each a function of the seed and its number alone.

    A batch is (pixels float32 [batch, height, width, channels], classes uint8 [batch, h, w]) and,
    with `border`, the pixels' weights float32 [batch, h, w]. For networks that pad, h and w are
    the height and width; an unpadded one sees a margin around the pixels it labels.

    Args:
        samples: images of at least one pixel; small ones are mirrored out to a crop.
        crop: smallest height and width of the labels, in pixels, or one number for both; the
            network may need some pixels more.
        batch: crops a batch.
        sizes: sizes that the network takes.
        pixel_std: standard deviation of the pixels, which brightness is measured in.
        seed: of everything drawn.
        augmentation: how crops are varied.
        border: add border weights; all samples must have instances.
        strength: gives, for the number of a batch, the share of the augmentation that it gets.

    Attributes:
        image_size: height and width of the pixels of a crop.
        label_size: of its labels.

    Example:
        >>> from unetrt.data import load_dataset
        >>> options = {"sizes": SizeRule(8), "pixel_std": 50.0, "augmentation": Augmentation()}
        >>> stream = CropStream(
        ...     load_dataset("cells").train, crop=(32, 40), batch=4, seed=0, **options
        ... )
        >>> pixels, classes = stream.batch(0)
        >>> pixels.shape, classes.shape
        ((4, 32, 40, 1), (4, 32, 40))
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        *,
        crop: tuple[int, int] | int,
        batch: int,
        sizes: SizeRule,
        pixel_std: float,
        seed: int,
        augmentation: Augmentation,
        border: bool = False,
        strength: Callable[[int], float] = lambda _number: 1.0,
    ) -> None:
        self._strength = strength
        height, width = (crop, crop) if isinstance(crop, int) else crop
        self.image_size = sizes.covering(height), sizes.covering(width)
        self._margin = sizes.margin
        tall, wide = (side - 2 * sizes.margin for side in self.image_size)
        self.label_size = tall, wide
        self._batch = batch
        self._pixel_std = pixel_std
        self._seed = seed
        self._augmentation = augmentation
        self._border = border
        self._sources = [self._source(k, sample) for k, sample in enumerate(samples)]
        self._classes = sorted({c for source in self._sources for c in source.pixels})
        self._showing = {
            c: [k for k, source in enumerate(self._sources) if c in source.pixels]
            for c in self._classes
        }
        wanted = augmentation.foreground * batch
        self._forced = math.ceil(wanted) if self._classes else 0

    @property
    def channels(self) -> int:
        """Return the channels of every crop."""
        return int(self._sources[0].image.shape[2])

    @property
    def steps_per_epoch(self) -> int:
        """Return the batches that hold as many pixels as the images do, but 50 to 500."""
        pixels = sum(source.label.size for source in self._sources)
        batch = self._batch * self.label_size[0] * self.label_size[1]
        return min(_MOST_STEPS, max(_FEWEST_STEPS, round(pixels / batch)))

    def batch(self, number: int) -> tuple[NDArray[Any], ...]:
        """Draw the batch of that number; several threads may.

        The first crops of a batch are centred on a pixel of a class, each class in turn: a rare
        one is in every batch, or in every second where there are many.
        """
        number = int(number)
        random = np.random.default_rng((self._seed, number))
        vary = self._augmentation.weakened(self._strength(number))
        crops = [
            self._draw(
                random,
                vary,
                self._classes[(number * self._forced + k) % len(self._classes)]
                if k < self._forced
                else None,
            )
            for k in range(self._batch)
        ]
        return tuple(np.stack(parts) for parts in zip(*crops, strict=True))

    def _source(self, number: int, sample: Sample) -> _CropSource:
        def mirrored(array: NDArray[Any], margin: int = 0) -> NDArray[Any]:
            height, width = (
                max(n, side) + 2 * margin
                for n, side in zip(array.shape[:2], self.label_size, strict=True)
            )
            return mirrored_to_size(array, height, width, margin=margin)

        label = mirrored(sample.label)
        random = np.random.default_rng((self._seed, number))
        pixels = {}
        for c in np.flatnonzero(np.bincount(label.ravel(), minlength=IGNORED)[:IGNORED]):
            if c:
                found = np.flatnonzero(label == c)
                pixels[int(c)] = random.choice(found, min(len(found), _KEPT_PIXELS), replace=False)
        weights = None
        if self._border:
            assert sample.instances is not None  # noqa: S101  (check_loss saw to it)
            weights = mirrored(border_weights(sample.instances))
        return _CropSource(mirrored(sample.image, self._margin), label, weights, pixels)

    def _draw(
        self, random: np.random.Generator, vary: Augmentation, shown: int | None
    ) -> tuple[NDArray[Any], ...]:
        source, corner = self._place(random, shown)
        image, *labels = self._moved(source, corner, vary, random)
        image = varied(image.astype(np.float32), vary, self._pixel_std, random)
        return (image, *labels)

    def _place(
        self, random: np.random.Generator, shown: int | None
    ) -> tuple[_CropSource, tuple[int, int]]:
        """Choose an image, and the corner of the labels of the crop in it."""
        if shown is None:
            source = self._sources[int(random.integers(len(self._sources)))]
            begin = [
                int(random.integers(n - side + 1))
                for n, side in zip(source.label.shape, self.label_size, strict=True)
            ]
        else:
            showing = self._showing[shown]
            source = self._sources[showing[int(random.integers(len(showing)))]]
            pixels = source.pixels[shown]
            pixel = divmod(int(pixels[random.integers(len(pixels))]), source.label.shape[1])
            # In the middle half of the crop, so that something of its surroundings shows.
            begin = [
                at - int(random.integers(side // 4, side - side // 4))
                for at, side in zip(pixel, self.label_size, strict=True)
            ]
        top, left = (
            min(max(0, at), n - side)
            for at, n, side in zip(begin, source.label.shape, self.label_size, strict=True)
        )
        return source, (top, left)

    def _moved(
        self,
        source: _CropSource,
        corner: tuple[int, int],
        vary: Augmentation,
        random: np.random.Generator,
    ) -> list[NDArray[Any]]:
        """Cut a crop, mirrored, turned, zoomed and deformed as it may be."""
        turned = np.eye(2)
        if "horizontal" in vary.mirrors and random.random() < _HALF:
            turned = turned @ np.diag([1.0, -1.0])
        if "vertical" in vary.mirrors and random.random() < _HALF:
            turned = turned @ np.diag([-1.0, 1.0])
        if vary.turns:
            turned = turned @ _QUARTERS[int(random.integers(4))]
        free = random.random() < vary.rotated
        if free:
            angle = math.radians(random.uniform(-vary.rotation, vary.rotation))
            turned = turned @ _rotation(angle)
        if random.random() < vary.zoomed:
            free = True
            least, most = map(math.log, vary.zoom)
            turned = turned / math.exp(random.uniform(least, most))
        moved = None
        if vary.elastic and random.random() < vary.deformed:
            moved = displacement(self.image_size, vary.elastic, random)
        if free or moved is not None or (turned[0, 0] == 0 and self._oblong):
            return self._sampled(source, corner, turned, moved)
        return [_turned(part, turned) for part in self._cut(source, corner)]

    @property
    def _oblong(self) -> bool:
        return self.image_size[0] != self.image_size[1]

    def _cut(self, source: _CropSource, corner: tuple[int, int]) -> list[NDArray[Any]]:
        top, left = corner
        tall, wide = self.label_size
        image = source.image[top : top + self.image_size[0], left : left + self.image_size[1]]
        inside = np.s_[top : top + tall, left : left + wide]
        return [image, *(labels[inside] for labels in source.labels)]

    def _sampled(
        self,
        source: _CropSource,
        corner: tuple[int, int],
        turned: NDArray[np.float64],
        moved: NDArray[np.float32] | None,
    ) -> list[NDArray[Any]]:
        """Look each pixel of a crop up in the image: turned about the crop's middle, then moved."""
        places = _places(self.image_size, turned)
        if moved is not None:
            places = places + moved
        places[0] += corner[0] + (self.image_size[0] - 1) / 2
        places[1] += corner[1] + (self.image_size[1] - 1) / 2
        inner = np.s_[
            :,
            self._margin : self._margin + self.label_size[0],
            self._margin : self._margin + self.label_size[1],
        ]
        # The image begins a margin before its labels do.
        inside = places[inner] - np.float32(self._margin)
        image = sampled(source.image, places, smooth=True)
        return [image, *(sampled(part, inside, smooth=False) for part in source.labels)]


def varied(
    image: NDArray[np.float32],
    vary: Augmentation,
    pixel_std: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Return a crop [height, width, channels] with other noise, sharpness and grey levels.

    Args:
        image: the crop; it is not changed.
        vary: what is done, how often and how strongly.
        pixel_std: standard deviation of all pixels, which brightness is measured in.
        random: what is drawn from.

    Example:
        >>> crop = np.ones((8, 8, 1), np.float32)
        >>> bool((varied(crop, Augmentation.none(), 1.0, np.random.default_rng(0)) == crop).all())
        True
    """
    if random.random() < vary.noisy:
        deviation = random.uniform(0, vary.noise) * float(image.std())
        noise = random.standard_normal(image.shape, np.float32)
        image = image + np.float32(deviation) * noise
    if random.random() < vary.blurred:
        sigma = random.uniform(_HALF * vary.blur, vary.blur)
        image = _channels_last(cv2.GaussianBlur(image, (0, 0), max(sigma, 1e-3)))
    if random.random() < vary.recoloured:
        mean = image.mean(axis=(0, 1))
        contrast = math.exp(random.uniform(-vary.contrast, vary.contrast))
        brightness = random.uniform(-vary.brightness, vary.brightness) * pixel_std
        image = (image - mean) * np.float32(contrast) + (mean + np.float32(brightness))
    if random.random() < vary.coarsened:
        scale = random.uniform(vary.low_resolution, 1)
        image = _coarsened(image, scale)
    if random.random() < vary.curved:
        power = math.exp(random.uniform(-vary.gamma, vary.gamma))
        image = _curved(image, power, from_bright=random.random() < _HALF)
    return image.astype(np.float32, copy=False)


def _coarsened(image: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_NEAREST)
    return _channels_last(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def _curved(image: NDArray[np.float32], power: float, *, from_bright: bool) -> NDArray[np.float32]:
    """Raise pixels to a power, which leaves the least and the most as they are."""
    least, most = float(image.min()), float(image.max())
    if most <= least:
        return image
    share = (image - least) / np.float32(most - least)
    share = 1 - (1 - share) ** power if from_bright else share**power
    return np.asarray(least + share * np.float32(most - least), np.float32)


def _channels_last(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image with its last axis, which OpenCV drops where it is one."""
    return image[..., None] if image.ndim == 2 else image  # noqa: PLR2004


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


def displacement(
    size: tuple[int, int], sd: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Draw how far each pixel of a crop moves: [2, height, width], rows first, in pixels.

    The nodes of a 3 x 3 grid move by a normal distance of `sd`; a spline lies between them.
    """
    nodes = random.normal(scale=sd, size=(2, _NODES, _NODES)).astype(np.float32)
    return np.asarray(_basis(size[0]) @ nodes @ _basis(size[1]).T, np.float32)


def sampled(image: NDArray[Any], places: NDArray[np.float32], *, smooth: bool) -> NDArray[Any]:
    """Return `image` [height, width] or [height, width, channels] at `places` [2, h, w].

    Beyond its edges it is mirrored. Bilinear and float32 if `smooth`, else the nearest pixel in the
    image's own type.
    """
    # A part of the image: OpenCV takes no side of 32,768 pixels or more.
    (top, bottom), (left, right) = (
        _reached(at, side) for at, side in zip(places, image.shape[:2], strict=True)
    )
    window = image[top:bottom, left:right]
    across, down = places[1] - np.float32(left), places[0] - np.float32(top)
    if smooth:
        window = window.astype(np.float32)
    kind = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    parts = [
        cv2.remap(np.ascontiguousarray(part), across, down, kind, borderMode=cv2.BORDER_REFLECT)
        for part in _fours(window)
    ]
    if image.ndim == 2:  # noqa: PLR2004
        return np.asarray(parts[0])
    return np.concatenate([_channels_last(part) for part in parts], axis=-1)


def _reached(places: NDArray[np.float32], side: int) -> tuple[int, int]:
    """Return the pixels from which to which places lie along an axis, those mirrored included."""
    first, last = math.floor(float(places.min())) - 1, math.ceil(float(places.max())) + 2
    if first < -side or last > 2 * side:  # mirrored more than once
        return 0, side
    begin, end = (min(first, 2 * side - last), max(last, -first))
    return max(0, begin), min(side, end)


def _fours(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an image in parts of at most four channels, as OpenCV takes them."""
    if image.ndim == 2:  # noqa: PLR2004
        return [image]
    return [image[..., first : first + 4] for first in range(0, image.shape[2], 4)]


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _turned(part: NDArray[Any], turned: NDArray[np.float64]) -> NDArray[Any]:
    """Mirror and transpose an array as a matrix of 0, 1 and -1 says."""
    if turned[0, 0] == 0:
        part = part.swapaxes(0, 1)
        turned = turned[::-1]
    rows, columns = (int(turned[k, k]) for k in range(2))
    return part[::rows, ::columns]


def _places(size: tuple[int, int], turned: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the places of a crop's pixels about its middle, turned: [2, height, width]."""
    down, across = (np.arange(side, dtype=np.float32) - (side - 1) / 2 for side in size)
    matrix = turned.astype(np.float32)
    return np.stack(
        [matrix[k, 0] * down[:, None] + matrix[k, 1] * across[None, :] for k in range(2)]
    ).astype(np.float32)


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

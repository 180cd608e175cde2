"""Make harder sets of labelled images from others: of other scales, sizes, counts and classes.

Each takes labelled images and yields labelled images; chance depends on their names alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from unetrt.data.brain import load_template

from .labelled_images import STRUCTURES, Labelled, labelled_brain

__all__ = [
    "channels",
    "coloured",
    "few",
    "hippocampus",
    "large",
    "lesions",
    "many",
    "pieces",
    "scaled",
    "sides",
    "sizes",
    "temporal",
    "volumes",
    "zoomed",
]

Labels = Iterable[Labelled]


def _random(name: str, salt: int = 0) -> np.random.Generator:
    """Return numbers that depend on an image's name alone."""
    return np.random.default_rng((zlib.crc32(name.encode()), salt))


def scaled(items: Labels) -> Iterator[Labelled]:
    """Give each file a scale of its own: half are uint8, half float32.

    Floats are multiplied by 0.01 to 1,000, and moved by up to ten times their range. The factors
    of uint8 are what eight bits hold without loss: from 1 to where the brightest pixel is 255.
    """
    for number, item in enumerate(items):
        random = _random(item.name, 1)
        pixels = item.image.astype(np.float64)
        top = max(1.0, float(pixels.max()))
        if number % 2:
            factor = 10 ** random.uniform(-2, 3)
            offset = factor * top * random.uniform(-10, 10)
            image = (factor * pixels + offset).astype(np.float32)
        else:
            factor = random.uniform(1, max(1.0, 255 / top))
            offset = random.uniform(0, max(0.0, 255 - factor * top))
            image = np.clip(np.rint(factor * pixels + offset), 0, 255).astype(np.uint8)
        yield replace(item, image=image)


_PIECE = (35, 50)


def pieces(items: Labels) -> Iterator[Labelled]:
    """Cut each image into pieces of 35 x 50, side by side, about its middle."""
    height, width = _PIECE
    for item in items:
        rows, columns = item.label.shape[0] // height, item.label.shape[1] // width
        top = (item.label.shape[0] - rows * height) // 2
        left = (item.label.shape[1] - columns * width) // 2
        for row in range(rows):
            for column in range(columns):
                y, x = top + row * height, left + column * width
                yield _cut(item, y, x, _PIECE, f"{item.name}_{row}{column}")


def _cut(item: Labelled, top: int, left: int, size: tuple[int, int], name: str) -> Labelled:
    part = np.s_[top : top + size[0], left : left + size[1]]
    return replace(item, name=name, image=item.image[part], label=item.label[part])


def zoomed(items: Labels, factor: float) -> Iterator[Labelled]:
    """Zoom the test images; of the others one a part is kept, to be a whole data set."""
    kept = set()
    for item in items:
        if item.part != "test":
            if item.part not in kept:
                kept.add(item.part)
                yield item
            continue
        size = tuple(round(side * factor) for side in item.label.shape)
        image = Image.fromarray(item.image).resize(size[::-1], Image.Resampling.BILINEAR)
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip(size, item.label.shape, strict=True)
        )
        label = item.label[rows][:, columns]
        yield replace(item, image=np.asarray(image), label=label)


_FEW = {"train": 4, "val": 1}


def few(items: Labels) -> Iterator[Labelled]:
    """Keep four training images and one for validation, evenly spread, and the whole test."""
    items = list(items)
    for part, count in _FEW.items():
        of_part = [item for item in items if item.part == part]
        yield from of_part[:: max(1, len(of_part) // count)][:count]
    yield from (item for item in items if item.part == "test")


_MANY, _SMALL = 10_000, 64


def many(items: Labels) -> Iterator[Labelled]:
    """Cut 10,000 images of 64 x 64 at any places, as many of each image as of another."""
    items = list(items)
    for number in range(_MANY):
        item = items[number % len(items)]
        random = _random(item.name, 2 + number // len(items))
        top, left = (int(random.integers(0, side - _SMALL + 1)) for side in item.label.shape)
        name = f"{item.name}_{number // len(items):02d}"
        yield _cut(item, top, left, (_SMALL, _SMALL), name)


_LARGE = 4000
_LARGE_IMAGES = (("train", 2), ("val", 1), ("test", 2))


def large(items: Labels) -> Iterator[Labelled]:
    """Lay images side by side, turned and mirrored at random, into a few of 4,000 x 4,000."""
    items = list(items)
    for part, count in _LARGE_IMAGES:
        of_part = [item for item in items if item.part == part]
        for number in range(count):
            name = f"{part}_{number}"
            yield _mosaic(of_part, (_LARGE, _LARGE), name)


def _mosaic(items: list[Labelled], size: tuple[int, int], name: str) -> Labelled:
    """Fill an image with others, each with numbers of its own for its objects."""
    random = _random(name)
    side = items[0].label.shape[0]
    rows, columns = (-(-length // side) for length in size)
    image = np.zeros((rows * side, columns * side), items[0].image.dtype)
    label = np.zeros(image.shape, np.int32)
    most = 0
    for row in range(rows):
        for column in range(columns):
            item = items[random.integers(len(items))]
            turn, mirrored = int(random.integers(4)), bool(random.integers(2))
            place = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
            for canvas, pixels in ((image, item.image), (label, item.label)):
                view = np.rot90(pixels, turn)
                canvas[place] = view[:, ::-1] if mirrored else view
            own = label[place]
            own[own > 0] += most
            most = max(most, int(own.max()))
    return Labelled(name, items[0].part, image[: size[0], : size[1]], label[: size[0], : size[1]])


_CHANNELS = 8


def channels(items: Labels) -> Iterator[Labelled]:
    """Turn each image into eight channels, of which none shows everything.

    Each is the image out of focus by as much, dimmed towards one side, and under noise; scale and
    offset are the channel's own, from 1 to 100 times as much.
    """
    for item in items:
        random = _random(item.name, 3)
        pixels = item.image.astype(np.float32)
        y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in pixels.shape)
        planes = []
        for number in range(_CHANNELS):
            angle = 2 * np.pi * number / _CHANNELS
            lit = 0.6 + 0.4 * (np.cos(angle) * x[np.newaxis] + np.sin(angle) * y[:, np.newaxis])
            seen = ndimage.gaussian_filter(pixels, 0.3 * number) * np.clip(lit, 0.05, None)
            seen += random.normal(0, 4, pixels.shape)
            planes.append(100 ** (number / (_CHANNELS - 1)) * seen + 100 * (number + 1))
        yield replace(item, image=np.clip(np.stack(planes, axis=-1), 0, 65535).astype(np.uint16))


def sizes(items: Labels) -> Iterator[Labelled]:
    """Make one set of many sizes, from 60 x 60 to 512 x 512 and of any shape."""
    items = list(items)
    for number, item in enumerate(items):
        random = _random(item.name, 4)
        if number % 4 == 0:
            others = [other for other in items if other.part == item.part]
            item = _mosaic(others, (512, 512), item.name)  # noqa: PLW2901
        height, width = (int(random.integers(60, side + 1)) for side in item.label.shape)
        top, left = (
            int(random.integers(0, side - length + 1))
            for side, length in zip(item.label.shape, (height, width), strict=True)
        )
        yield _cut(item, top, left, (height, width), item.name)


def coloured(items: Labels) -> Iterator[Labelled]:
    """Show each image as a stained slide: dark objects on light ground, both of their own tint."""
    for item in items:
        random = _random(item.name, 5)
        pixels = item.image.astype(np.float64)
        low, high = np.percentile(pixels, (1, 99.5))
        shown = np.clip((pixels - low) / max(1.0, high - low), 0, 1)[:, :, np.newaxis]
        ground = np.array([235, 215, 225]) + random.uniform(-20, 20, 3)
        stain = np.array([95, 60, 140]) + random.uniform(-40, 40, 3)
        rgb = ground + (stain - ground) * shown + random.normal(0, 4, (*pixels.shape, 3))
        yield replace(item, image=np.clip(np.rint(rgb), 0, 255).astype(np.uint8))


_LESION_PIXELS = 46
"""Pixels a slice on average: a thousandth of 233 x 197."""


def lesions(items: Labels) -> Iterator[Labelled]:
    """Put dark spots into white matter, a class of their own at a thousandth of all pixels."""
    owed = 0.0
    for item in items:
        random = _random(item.name, 6)
        image, label = item.image.astype(np.float64), item.label.copy()
        owed += _LESION_PIXELS
        inside = ndimage.binary_erosion(item.label == 2, iterations=2)  # noqa: PLR2004  (white)
        centres = np.argwhere(inside)
        while owed > 0 and len(centres):
            y, x = centres[random.integers(len(centres))]
            radius = random.uniform(1.8, 3.6)
            rows, columns = np.ogrid[: label.shape[0], : label.shape[1]]
            distance = np.hypot(rows - y, columns - x)
            spot = (distance <= radius) & (item.label > 0)
            soft = np.clip(radius + 0.5 - distance, 0, 1)
            image *= 1 - soft * random.uniform(0.45, 0.6)
            owed -= int((spot & (label != 3)).sum())  # noqa: PLR2004
            label[spot] = 3
        yield replace(item, image=np.rint(image).astype(np.uint8), label=label)


def sides(items: Labels) -> Iterator[Labelled]:
    """Name the tissue of each half of the brain: mirrored, what is left is right."""
    for item in items:
        half = np.arange(item.label.shape[1]) >= item.label.shape[1] / 2
        label = np.where(item.label > 0, 1 + half[np.newaxis], 0).astype(np.uint8)
        yield replace(item, label=label)


_SLICES = 3


def volumes(items: Labels) -> Iterator[Labelled]:
    """Stack neighbouring slices of the brain, three a volume."""
    stack: list[Labelled] = []
    for item in items:
        neighbours = stack and _position(item) == _position(stack[-1]) + 1
        if stack and not (neighbours and item.part == stack[-1].part):
            stack = []
        stack.append(item)
        if len(stack) == _SLICES:
            image, label = (
                np.stack([getattr(one, what) for one in stack], axis=-1)
                for what in ("image", "label")
            )
            yield Labelled(f"volume_{_position(stack[0]):03d}", item.part, image, label)
            stack = []


def _position(item: Labelled) -> int:
    return int(item.name.rpartition("_")[2])


_VOLUME = (35, 50, 35)
_HIPPOCAMPUS = {"left": (-26, -22, -14), "right": (26, -22, -14)}
"""Centres in millimetres, in the space of the template."""
_ORIGIN = (98, 134, 72)
_VOLUME_PARTS = (("train", "left", 140), ("val", "right", 30), ("test", "right", 30))


def temporal() -> Iterator[Labelled]:
    """Cut 200 volumes about the hippocampus, of grey and white matter, as 200 patients might look.

    Each is bent by an affine map of its own (turned by up to 0.25 radians, scaled by 0.85 to 1.15,
    moved by up to 8 mm), lit unevenly and noisy. All are of one template: left sides to learn
    from, right sides, mirrored, to be tested on.
    """
    yield from scaled(_bent(*load_template()))


def hippocampus() -> Iterator[Labelled]:
    """Cut 200 volumes about the hippocampus, whose front and back are the classes.

    Made as `temporal`'s are, with the labels of the atlas; front and back part at its middle.
    """
    image, label = labelled_brain()
    hippocampus = label == 1 + STRUCTURES.index("hippocampus")
    middle = np.arange(label.shape[1])[np.newaxis, :, np.newaxis] >= _ORIGIN[1] - 22
    classes = np.where(hippocampus, 1 + ~middle, 0).astype(np.uint8)
    yield from scaled(_bent(image / image.max(), classes))


def _bent(image: NDArray[np.float32], label: NDArray[np.uint8]) -> Iterator[Labelled]:
    number = 0
    for part, side, count in _VOLUME_PARTS:
        for _ in range(count):
            name = f"{part}_{number:03d}"
            random = _random(name, 7)
            centre = np.add(_HIPPOCAMPUS[side], _ORIGIN) + random.uniform(-8, 8, 3)
            matrix = np.diag(1 / random.uniform(0.85, 1.15, 3)) @ _turn(random)
            if side == "right":
                matrix = np.diag((-1.0, 1.0, 1.0)) @ matrix
            offset = centre - matrix @ ((np.array(_VOLUME) - 1) / 2)
            pixels, numbers = (
                ndimage.affine_transform(
                    volume, matrix, offset, output_shape=_VOLUME, order=order, mode="nearest"
                )
                for volume, order in ((image, 1), (label, 0))
            )
            slopes = random.uniform(-0.15, 0.15, 3)
            field = 1 + sum(
                slope * axis
                for slope, axis in zip(
                    slopes, np.meshgrid(*(np.linspace(-1, 1, n) for n in _VOLUME), indexing="ij"),
                    strict=True,
                )
            )  # fmt: skip
            noise = random.normal(0, random.uniform(0.01, 0.04), _VOLUME)
            seen = np.clip(pixels ** random.uniform(0.8, 1.25) * field + noise, 0, None)
            yield Labelled(name, part, np.rint(seen * 180), numbers)  # type: ignore[arg-type]
            number += 1


def _turn(random: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation by up to 0.25 radians about each axis."""
    matrix = np.eye(3)
    for first, second in ((0, 1), (1, 2), (0, 2)):
        angle = random.uniform(-0.25, 0.25)
        plane = np.eye(3)
        plane[[first, second], [first, second]] = np.cos(angle)
        plane[first, second], plane[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ plane
    return matrix

"""Choose what networks are timed on: real images, or random ones by seed; never a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput
from unetrt.normalization import Normalization
from unetrt.sizes import SizeRule, mirrored_to_fit, mirrored_to_size

__all__ = ["TimedInput", "random_input", "real_input", "refuse_constant"]


@dataclass(frozen=True, slots=True)
class TimedInput:
    """Hold the pixels that candidates are timed on, and where they come from.

    Attributes:
        pixels: [batch, height, width, channels], as they are stored: uint8, but where the
            networks normalise pixels of any scale.
        kind: "real" or "random".
        seed: of the random ones.
        source: in words.

    Raises:
        BadInput: all pixels are the same.

    Example:
        >>> random_input(batch=2, height=8, width=16, channels=1).shape
        (2, 8, 16, 1)
    """

    pixels: NDArray[Any]
    kind: str
    seed: int | None
    source: str

    def __post_init__(self) -> None:
        refuse_constant(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return batch, height, width, channels."""
        batch, height, width, channels = self.pixels.shape
        return batch, height, width, channels

    def normalized(self, normalization: Normalization | None) -> TimedInput:
        """Return it as a network takes it, each image by its own statistics.

        Args:
            normalization: of the network; None leaves the pixels as they are.

        Example:
            >>> from unetrt.normalization import Normalization
            >>> drawn = random_input(batch=2, height=8, width=8, channels=1)
            >>> drawn.normalized(Normalization()).pixels.dtype
            dtype('float32')
        """
        if normalization is None:
            return self
        scales = [normalization.measure([image]) for image in self.pixels]
        pixels = [scale.apply(x) for scale, x in zip(scales, self.pixels, strict=True)]
        return replace(self, pixels=np.stack(pixels))

    def fitted(self, sizes: SizeRule) -> TimedInput:
        """Return it mirrored out to what a network takes; its own pixels are [:height, :width].

        Args:
            sizes: of the network.

        Example:
            >>> from unetrt.sizes import SizeRule
            >>> random_input(batch=1, height=30, width=40, channels=3).fitted(SizeRule(16)).shape
            (1, 32, 48, 3)
        """
        pixels = np.stack([mirrored_to_fit(image, sizes) for image in self.pixels])
        return replace(self, pixels=pixels)

    def to_json(self) -> dict[str, Any]:
        """Return a record's `input`."""
        return {"kind": self.kind, "seed": self.seed, "source": self.source}


def real_input(
    images: Sequence[NDArray[Any]],
    *,
    batch: int,
    height: int,
    width: int,
    source: str,
    any_scale: bool = False,
) -> TimedInput:
    """Return a batch of different images, each cut or mirrored out to one size.

    Args:
        images: [height, width, channels] each; they repeat where there are fewer than `batch`.
        batch: images at once.
        height: in pixels, of all of them.
        width: likewise.
        source: of the images, in words.
        any_scale: take pixels of any type, for networks that normalise them, in the place of bytes.

    Raises:
        BadInput: they are constant, or hold what a byte cannot without `any_scale`.

    Example:
        >>> from pathlib import Path
        >>> from unetrt.data import read_image
        >>> image = read_image(Path("cell.png"))
        >>> real_input([image], batch=2, height=32, width=64, source="a cell").shape
        (2, 32, 64, 1)
    """
    pixels = []
    for k in range(batch):
        image = images[k % len(images)]
        top, left = (max(0, (own - cut) // 2) for own, cut in zip(image.shape, (height, width)))  # noqa: B905
        cut = image[top : top + height, left : left + width]
        pixels.append(mirrored_to_size(cut, height, width))
    found = np.stack(pixels)
    if any_scale:
        return TimedInput(found, "real", None, source)
    as_bytes = found.astype(np.uint8)
    if not np.array_equal(as_bytes, found):
        raise BadInput(
            "Cannot time on these images",
            got=f"{found.dtype} between {found.min():g} and {found.max():g}",
            expected="bytes, 0 to 255",
            hint="time on random ones: random_input",
        )
    return TimedInput(as_bytes, "real", None, source)


def random_input(
    *, batch: int, height: int, width: int, channels: int, seed: int = 0
) -> TimedInput:
    """Return uniform bytes.

    Args:
        batch: images at once.
        height: in pixels.
        width: in pixels.
        channels: of each pixel.
        seed: of the bytes.

    Example:
        >>> random_input(batch=1, height=8, width=8, channels=1, seed=3).to_json()
        {'kind': 'random', 'seed': 3, 'source': 'uniform bytes'}
    """
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (batch, height, width, channels), np.uint8)
    return TimedInput(pixels, "random", seed, "uniform bytes")


def refuse_constant(pixels: NDArray[Any]) -> None:
    """Raise BadInput where all numbers are one, or not a number.

    Multipliers that see the same bits again and again draw less power, and a GPU at its power
    limit clocks higher: matrix products of zeros run faster than of random numbers
    (https://www.thonking.ai/p/strangely-matrix-multiplications).
    """
    if pixels.size == 0 or not np.isfinite(pixels).all() or pixels.min() == pixels.max():
        raise BadInput(
            "Cannot time on a constant input, which runs faster than an image does",
            got="no numbers"
            if pixels.size == 0
            else f"{pixels.flat[0]:g} and nothing else"
            if pixels.min() == pixels.max()
            else "numbers that are not finite",
            hint="time on real images, or on random ones by seed",
        )

"""What a U-Net is made of, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unetrt.errors import BadInput, ShapeError

__all__ = ["TrainSpec", "UNetSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetSpec:
    """A U-Net with 'same' convolutions; the defaults are the article's network.

    Attributes:
        shape: height, width, channels; None leaves height or width free.
        n_classes: classes the softmax tells apart, background included.
        filters: filters of each contracting block, from the image inwards.
        bottleneck: filters of the two convolutions at the bottom.
        normalization: what stands between a convolution and its ReLU.
        dropout: share dropped after each pooling and each concatenation.
        pixel_mean: subtracted from the pixels inside the network ...
        pixel_std: ... which are then divided by this: normalisation travels with the model.
    """

    shape: tuple[int | None, int | None, int]
    n_classes: int
    filters: tuple[int, ...] = (32, 64, 128, 256, 512)
    bottleneck: int = 1024
    normalization: Literal["none", "batch"] = "none"
    dropout: float = 0.3
    pixel_mean: float = 0.0
    pixel_std: float = 1.0

    def __post_init__(self) -> None:
        if self.n_classes < 2:  # noqa: PLR2004
            raise BadInput(
                "A segmentation network needs classes to tell apart",
                got=self.n_classes,
                expected="n_classes of at least 2, background included",
            )
        if self.normalization not in ("none", "batch"):
            raise BadInput(
                "There is no such normalization", got=self.normalization, expected="none or batch"
            )
        if not self.filters or min(*self.filters, self.bottleneck) < 1:
            raise BadInput(
                "A U-Net needs filters in every block",
                got=f"{self.filters} and a bottleneck of {self.bottleneck}",
                expected="positive numbers, at least one contracting block",
            )
        if self.pixel_std <= 0:
            raise BadInput("Cannot normalise pixels", got=f"pixel_std {self.pixel_std}")
        for axis, size in zip(("height", "width"), self.shape[:2], strict=True):
            if size is not None and (size < 1 or size % self.size_multiple):
                below = size // self.size_multiple * self.size_multiple
                nearest = [str(s) for s in (below, below + self.size_multiple) if s > 0]
                raise ShapeError(
                    f"A U-Net of {len(self.filters)} poolings cannot halve this {axis}",
                    got=size,
                    expected=f"a multiple of {self.size_multiple}",
                    hint=f"the nearest that work: {' and '.join(nearest)}",
                )

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this: two to the number of poolings."""
        return 1 << len(self.filters)

    @classmethod
    def small(cls, channels: int, n_classes: int, *, mean: float, std: float) -> UNetSpec:
        """The article's shape with a quarter of its filters, batch-normalised; trains in minutes.

        No dropout: batch normalisation regularises enough here, and drawing the masks took
        nearly half of a training step on two CPU cores.
        """
        return cls(
            shape=(None, None, channels),
            n_classes=n_classes,
            filters=(8, 16, 32, 64, 128),
            bottleneck=256,
            normalization="batch",
            dropout=0.0,
            pixel_mean=mean,
            pixel_std=std,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """How a network is trained.

    Attributes:
        minutes: time for training; the learning rate falls to zero at its end.
        epochs: if given, train this many epochs instead, whatever they take: with the same
            seed, the same result on the same machine.
        batch: crops a step.
        crop: side of a training crop in pixels (images smaller than that are mirrored out).
        learning_rate: its peak, reached after a short rise; a half cosine follows.
        weight_decay: of AdamW.
        seed: of weights, crops and augmentation.
    """

    minutes: float = 3.0
    epochs: int | None = None
    batch: int = 8
    crop: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise BadInput("Cannot train", got=f"{self.minutes} minutes", expected="more than 0")
        if self.epochs is not None and self.epochs < 1:
            raise BadInput("Cannot train", got=f"{self.epochs} epochs", expected="at least 1")

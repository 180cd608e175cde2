"""Specify a U-Net in plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from unetrt.errors import BadInput, ShapeError
from unetrt.sizes import SizeRule

__all__ = ["UNetSpec"]

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu"]
DtypePolicy = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Normalization = Literal["none", "batch", "group"]
Upsampling = Literal["transposed", "nearest", "bilinear"]

_CHOICES = {
    "padding": ("same", "valid"),
    "normalization": get_args(Normalization),
    "activation": get_args(Activation),
    "upsampling": get_args(Upsampling),
    "dropout_at": ("blocks", "bottom"),
    "head": ("softmax", "sigmoid"),
    "dtype_policy": get_args(DtypePolicy),
}
_CONVOLUTIONS = 2
"""Convolutions of a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetSpec:
    """Specify a U-Net; the defaults are the article's.

    Attributes:
        shape: height, width, channels; None leaves height or width free.
        n_classes: classes to tell apart, background included.
        filters: filters of each contracting block, from the image inwards: one pooling each.
        bottleneck: filters of the two convolutions at the bottom.
        kernel_size: side of the convolutions in blocks; odd.
        padding: "valid" is the paper's: an output smaller than the image, no edge invented.
        normalization: the layer between a convolution and its activation.
        groups: of group normalisation; where a block has fewer filters or they do not divide,
            the largest number below that divides them.
        activation: of the convolutions in blocks.
        residual: add the input of a block to the output of its convolutions.
        attention: weigh each skip by the features from below (Oktay et al. 2018).
        upsampling: a "transposed" convolution, or resizing before a convolution.
        upsampling_kernel: side of the convolution that scales up.
        dropout: share dropped ...
        dropout_at: ... after each pooling and concatenation ("blocks"), or after the last
            pooling and the bottleneck (the paper's end of the contracting path).
        head: "softmax", or "sigmoid": each class by itself, so that classes may overlap.
        dtype_policy: Keras' name of the type that layers compute in; weights stay float32.
        pixel_mean: subtracted from the pixels inside the network ...
        pixel_std: ... which are then divided by this: normalisation travels with the model.
        pixel_range: pixels are clipped to this before, if given.

    Raises:
        BadInput: a value that no U-Net can have.
        ShapeError: a height or width that the poolings cannot halve.

    Example:
        >>> spec = UNetSpec(shape=(None, None, 1), n_classes=2, filters=(8, 16), bottleneck=32)
        >>> spec.sizes.fits(512), str(spec.sizes)
        (True, 'a multiple of 4')
    """

    shape: tuple[int | None, int | None, int]
    n_classes: int
    filters: tuple[int, ...] = (32, 64, 128, 256, 512)
    bottleneck: int = 1024
    kernel_size: int = 3
    padding: Literal["same", "valid"] = "same"
    normalization: Normalization = "none"
    groups: int = 8
    activation: Activation = "relu"
    residual: bool = False
    attention: bool = False
    upsampling: Upsampling = "transposed"
    upsampling_kernel: int = 3
    dropout: float = 0.3
    dropout_at: Literal["blocks", "bottom"] = "blocks"
    head: Literal["softmax", "sigmoid"] = "softmax"
    dtype_policy: DtypePolicy = "float32"
    pixel_mean: float = 0.0
    pixel_std: float = 1.0
    pixel_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        for axis, size in zip(("height", "width"), self.shape[:2], strict=True):
            if size is not None and not self.sizes.fits(size):
                raise ShapeError(
                    f"A U-Net of {len(self.filters)} poolings cannot halve this {axis}",
                    got=size,
                    expected=f"{self.sizes}",
                    hint="the nearest that work: "
                    + " and ".join(map(str, self.sizes.nearest(size))),
                )

    @property
    def sizes(self) -> SizeRule:
        """Return the rule of the heights and widths that the network takes."""
        depth = len(self.filters)
        if self.padding == "same":
            return SizeRule(1 << depth)
        lost = _CONVOLUTIONS * (self.kernel_size - 1)  # by one block, at its own scale
        # Sides at the bottom are even numbers of the image's pixels; each block above adds its own.
        entering = lost * ((1 << depth) - 1)
        both = 2 * entering + lost * (1 << depth)
        return SizeRule(1 << depth, entering % (1 << depth), both // 2)

    @classmethod
    def article(
        cls, shape: tuple[int | None, int | None, int], n_classes: int, **changes: Any
    ) -> Self:
        """Specify the article's network: five poolings, 32 to 512 filters, a bottleneck of 1024."""
        return cls(shape=shape, n_classes=n_classes, **changes)

    @classmethod
    def paper(
        cls, shape: tuple[int | None, int | None, int], n_classes: int, **changes: Any
    ) -> Self:
        """Specify the paper's (Ronneberger et al. 2015): four poolings, no padding.

        It has 64 to 512 filters; of 572 x 572 pixels it labels the inner 388 x 388.
        """
        fields: dict[str, Any] = {
            "filters": (64, 128, 256, 512),
            "padding": "valid",
            "upsampling_kernel": 2,
            "dropout": 0.5,
            "dropout_at": "bottom",
        }
        return cls(shape=shape, n_classes=n_classes, **(fields | changes))

    @classmethod
    def small(
        cls, shape: tuple[int | None, int | None, int], n_classes: int, **changes: Any
    ) -> Self:
        """Specify the article's with a quarter of its filters, batch-normalised.

        It trains in minutes.
        No dropout: batch normalisation regularises enough here, and drawing the masks took
        nearly half of a training step on two CPU cores.
        """
        fields: dict[str, Any] = {
            "filters": (8, 16, 32, 64, 128),
            "bottleneck": 256,
            "normalization": "batch",
            "dropout": 0.0,
        }
        return cls(shape=shape, n_classes=n_classes, **(fields | changes))

    def _check_choices(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise BadInput(
                    f"There is no such {name}",
                    got=getattr(self, name),
                    expected=f"one of {', '.join(choices)}",
                )

    def _check_numbers(self) -> None:
        if self.n_classes < 2:  # noqa: PLR2004
            raise BadInput(
                "A segmentation network needs classes to tell apart",
                got=self.n_classes,
                expected="n_classes of at least 2, background included",
            )
        if not self.filters or min(*self.filters, self.bottleneck) < 1:
            raise BadInput(
                "A U-Net needs filters in every block",
                got=f"{self.filters} and a bottleneck of {self.bottleneck}",
                expected="positive numbers, at least one contracting block",
            )
        if self.kernel_size < 1 or self.kernel_size % 2 == 0 or self.upsampling_kernel < 1:
            raise BadInput(
                "A U-Net cannot have these kernels",
                got=f"{self.kernel_size} in blocks, {self.upsampling_kernel} to scale up",
                expected="positive sides, odd in blocks",
            )
        if self.padding == "valid" and (self.upsampling, self.upsampling_kernel) != (
            "transposed",
            2,
        ):
            raise BadInput(
                "An unpadded U-Net cannot scale up like this",
                got=f"{self.upsampling} upsampling with a kernel of {self.upsampling_kernel}",
                expected="transposed upsampling with a kernel of 2, which invents no edge",
            )
        if not 0 <= self.dropout < 1 or self.groups < 1:
            raise BadInput(
                "Cannot build this U-Net",
                got=f"dropout {self.dropout} and {self.groups} groups",
                expected="dropout from 0 to below 1 and at least one group",
            )
        low, high = self.pixel_range or (0.0, 1.0)
        if not (self.pixel_std > 0 and low < high):
            raise BadInput(
                "Cannot normalise pixels",
                got=f"pixel_std {self.pixel_std:g} and pixel_range {self.pixel_range}",
                expected="a positive deviation and a range that rises",
            )

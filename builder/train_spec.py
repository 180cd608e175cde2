"""Specify a training in plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from unetrt.errors import BadInput

__all__ = ["Augmentation", "Axis", "LossName", "TrainSpec"]

LossName = Literal["ce_dice", "ce", "dice", "focal", "tversky", "border"]


Axis = Literal["horizontal", "vertical"]

_SHARES = (
    "rotated",
    "zoomed",
    "deformed",
    "recoloured",
    "curved",
    "noisy",
    "blurred",
    "coarsened",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Specify how crops are varied, as nnU-Net does (Isensee et al. 2021, supplementary note 4).

    Shares are of the crops; lengths are in pixels of the crop.

    Attributes:
        mirrors: directions along which half of the crops are mirrored.
        turns: turn by quarters.
        rotation: largest angle of a rotation in degrees, either way; 180 is any.
        rotated: share that are rotated.
        zoom: least and largest scale; drawn evenly on a logarithmic scale.
        zoomed: share that are zoomed.
        elastic: standard deviation in pixels of a 3 x 3 grid of displacements, interpolated
            over the crop (Ronneberger et al. 2015: 10); 0 leaves crops rigid.
        deformed: share that are deformed.
        contrast: distances from the crop's mean are scaled by up to e to this power, either way.
        brightness: pixels are shifted by up to this many deviations of all pixels.
        recoloured: share whose contrast and brightness are changed.
        gamma: pixels between the crop's least and most are raised to e to up to this power, either
            way; half of the time from the bright end.
        curved: share whose gamma is changed.
        noise: largest standard deviation of added noise, in deviations of the crop.
        noisy: share that get noise.
        blur: largest standard deviation of a Gaussian, in pixels.
        blurred: share that are blurred.
        low_resolution: smallest scale that a crop is shrunk to before it is enlarged again.
        coarsened: share that are.
        foreground: share of each batch drawn to hold a pixel of a foreground class, each class in
            turn.

    Raises:
        BadInput: a share outside 0 to 1, or a negative strength.

    Example:
        >>> Augmentation(elastic=0.0).mirrors, Augmentation.none().mirrors
        (('horizontal', 'vertical'), ())
    """

    mirrors: tuple[Axis, ...] = ("horizontal", "vertical")
    turns: bool = True
    rotation: float = 180.0
    rotated: float = 0.2
    zoom: tuple[float, float] = (0.7, 1.4)
    zoomed: float = 0.3
    elastic: float = 10.0
    deformed: float = 0.1
    contrast: float = 0.4
    brightness: float = 0.1
    recoloured: float = 0.3
    gamma: float = 0.4
    curved: float = 0.2
    noise: float = 0.1
    noisy: float = 0.1
    blur: float = 1.0
    blurred: float = 0.1
    low_resolution: float = 0.5
    coarsened: float = 0.1
    foreground: float = 0.33

    def __post_init__(self) -> None:
        for name in (*_SHARES, "foreground"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(
                    "Cannot augment", got=f"{name} {getattr(self, name)}", expected="0 to 1"
                )
        for name in ("rotation", "elastic", "contrast", "brightness", "gamma", "noise", "blur"):
            if not getattr(self, name) >= 0:
                raise BadInput(
                    "Cannot augment", got=f"{name} {getattr(self, name)}", expected="0 or more"
                )
        for name, fits, expected in (
            ("mirrors", set(self.mirrors) <= set(get_args(Axis)), "horizontal and vertical"),
            ("zoom", 0 < self.zoom[0] <= self.zoom[1], "two positive numbers that do not fall"),
            ("low_resolution", 0 < self.low_resolution <= 1, "a scale up to 1"),
        ):
            if not fits:
                raise BadInput(
                    "Cannot augment", got=f"{name} {getattr(self, name)}", expected=expected
                )

    def weakened(self, strength: float) -> Self:
        """Return it with fewer crops rotated, zoomed, deformed and recoloured; mirrors stay.

        Args:
            strength: 0 to 1, that the shares are multiplied by.

        Example:
            >>> Augmentation(zoomed=0.4).weakened(0.5).zoomed
            0.2
        """
        return replace(self, **{name: strength * getattr(self, name) for name in _SHARES})

    @classmethod
    def none(cls) -> Self:
        """Specify crops as they are in the image."""
        return cls(
            mirrors=(),
            turns=False,
            rotated=0.0,
            zoomed=0.0,
            deformed=0.0,
            recoloured=0.0,
            curved=0.0,
            noisy=0.0,
            blurred=0.0,
            coarsened=0.0,
            foreground=0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """Specify a training.

    Attributes:
        minutes: time for training, that before an interruption included; the learning rate falls
            to zero at its end.
        epochs: if given, train this many epochs instead, whatever they take: with the same
            seed, the same result on the same machine.
        batch: crops a step.
        crop: height and width in pixels of the part that the network labels in a training crop,
            or one number for both (an unpadded network sees its margin around it; smaller images
            are mirrored out); rounded up to a size that the network takes.
        loss: cross-entropy and Dice ("ce_dice"), either alone, "focal", "tversky", or "border":
            the paper's cross-entropy, heavier between touching instances.
        class_weights: of each class in the loss, background first; all alike if None.
        augmentation: how crops are varied; it fades over the last two fifths, so that the network
            ends on images as they are.
        optimizer: "adamw", or the paper's "sgd" with momentum 0.99.
        learning_rate: its peak, reached after a short rise; a half cosine follows.
        weight_decay: of AdamW.
        ema: momentum of an exponential moving average of the weights; the average is validated
            and kept. None keeps the weights themselves.
        patience: stop after so many epochs without a better one.
        deep_supervision: number of expanding blocks below the last that get a loss too, each at
            its own scale and with half the weight of the one above.
        freeze: patterns of layers that stay as they are, batch statistics included, by the path
            of a layer through the models that it is in: "down1" is a block, "down*/conv1" a layer
            of every one, "down*" all of them.
        devices: "one", or "all": each of them takes a share of every batch.
        seed: of weights, crops and augmentation.

    Raises:
        BadInput: a value that no training can have.

    Example:
        >>> TrainSpec(epochs=20, crop=256).loss, TrainSpec.paper().optimizer
        ('ce_dice', 'sgd')
    """

    minutes: float = 3.0
    epochs: int | None = None
    batch: int = 8
    crop: tuple[int, int] | int = 128
    loss: LossName = "ce_dice"
    class_weights: tuple[float, ...] | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    ema: float | None = None
    patience: int | None = None
    deep_supervision: int = 0
    freeze: tuple[str, ...] = ()
    devices: Literal["one", "all"] = "one"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (
            ("loss", get_args(LossName)),
            ("optimizer", ("adamw", "sgd")),
            ("devices", ("one", "all")),
        ):
            if getattr(self, name) not in choices:
                raise BadInput(
                    f"Cannot train with this {name}",
                    got=getattr(self, name),
                    expected=f"one of {', '.join(choices)}",
                )
        for name, fits, expected in (
            ("minutes", self.minutes > 0, "more than 0"),
            ("epochs", self.epochs is None or self.epochs >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("crop", min(self.crop_size) >= 1, "at least 1 pixel"),
            ("learning_rate", self.learning_rate > 0, "more than 0"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("ema", self.ema is None or 0 < self.ema < 1, "between 0 and 1"),
            ("patience", self.patience is None or self.patience >= 1, "at least 1 epoch"),
            ("deep_supervision", self.deep_supervision >= 0, "0 or more"),
            ("class_weights", _are_weights(self.class_weights), "positive numbers"),
        ):
            if not fits:
                raise BadInput(
                    "Cannot train", got=f"{name} {getattr(self, name)}", expected=expected
                )

    @property
    def crop_size(self) -> tuple[int, int]:
        """Return height and width of the crops."""
        return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """Specify the paper's training (Ronneberger et al. 2015).

        One large tile a step, SGD, border weights, elastic crops.
        The paper gives no learning rate; with a momentum of 0.99 each step counts a hundredfold.
        """
        fields: dict[str, Any] = {
            "batch": 1,
            "crop": 388,
            "loss": "border",
            "optimizer": "sgd",
            "learning_rate": 1e-3,
            "augmentation": Augmentation(deformed=1.0),
        }
        return cls(**(fields | changes))


def _are_weights(weights: tuple[float, ...] | None) -> bool:
    return weights is None or (len(weights) > 0 and all(weight >= 0 for weight in weights))

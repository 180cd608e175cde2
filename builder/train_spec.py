"""Specify a training in plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from unetrt.errors import BadInput

__all__ = ["Augmentation", "LossName", "TrainSpec"]

LossName = Literal["ce_dice", "ce", "dice", "focal", "tversky", "border"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Specify how crops are varied; the defaults vary all there is.

    Attributes:
        flips: mirror half of the crops.
        turns: turn by quarters.
        elastic: standard deviation in pixels of a 3 x 3 grid of displacements, interpolated
            over the crop (Ronneberger et al. 2015: 10); 0 leaves crops rigid.
        elastic_share: share of the crops that are deformed; of more, short trainings learn less.
        contrast: pixels are scaled by up to e to this power, either way.
        brightness: pixels are shifted by up to this many of their standard deviations.
        intensity_share: share of the crops whose contrast and brightness are changed.
        foreground: share of the crops drawn to hold a pixel of a foreground class, each class
            as often as another.

    Raises:
        BadInput: a share outside 0 to 1, or a negative strength.

    Example:
        >>> Augmentation(elastic=0.0).flips, Augmentation.none().flips
        (True, False)
    """

    flips: bool = True
    turns: bool = True
    elastic: float = 10.0
    elastic_share: float = 0.2
    contrast: float = 0.4
    brightness: float = 0.1
    intensity_share: float = 0.3
    foreground: float = 0.33

    def __post_init__(self) -> None:
        for name in ("elastic_share", "intensity_share", "foreground"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(
                    "Cannot augment", got=f"{name} {getattr(self, name)}", expected="0 to 1"
                )
        for name in ("elastic", "contrast", "brightness"):
            if not getattr(self, name) >= 0:
                raise BadInput(
                    "Cannot augment", got=f"{name} {getattr(self, name)}", expected="0 or more"
                )

    @classmethod
    def none(cls) -> Self:
        """Specify crops as they are in the image."""
        return cls(
            flips=False,
            turns=False,
            elastic=0.0,
            elastic_share=0.0,
            contrast=0.0,
            brightness=0.0,
            intensity_share=0.0,
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
        crop: side in pixels of the part that the network labels in a training crop (an unpadded
            one sees its margin around it; smaller images are mirrored out); rounded up to a size
            that the network takes.
        loss: cross-entropy and Dice ("ce_dice"), either alone, "focal", "tversky", or "border":
            the paper's cross-entropy, heavier between touching instances.
        class_weights: of each class in the loss, background first; all alike if None.
        augmentation: how crops are varied.
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
    crop: int = 128
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
            ("crop", self.crop >= 1, "at least 1 pixel"),
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
            "augmentation": Augmentation(elastic_share=1.0),
        }
        return cls(**(fields | changes))


def _are_weights(weights: tuple[float, ...] | None) -> bool:
    return weights is None or (len(weights) > 0 and all(weight >= 0 for weight in weights))

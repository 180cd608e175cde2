"""How good a model is on some images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How good a model is on some images; figures per class leave the background out.

    Attributes:
        images: how many.
        per_class: Dice, pooled over all pixels.
        per_image_foreground: mean over images of the Dice of all foreground.
        iou: intersection over union, pooled.
        precision: share of the predicted pixels that are right, pooled.
        recall: share of the true pixels that are found, pooled.
        hd95: mean over images of the 95th percentile of the Hausdorff distance in pixels, None
            for a class that never was on both sides; only of a thorough evaluation.
        object_f1: of objects matched at an IoU above 0.5; only where objects are numbered.
        per_image: by name, the same figures of each image; only of a thorough evaluation.
    """

    images: int
    per_class: dict[str, float]
    per_image_foreground: float
    iou: dict[str, float]
    precision: dict[str, float]
    recall: dict[str, float]
    hd95: dict[str, float | None] | None = None
    object_f1: float | None = None
    per_image: dict[str, dict[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what was measured, Dice under the name "dice"."""
        own: dict[str, Any] = {
            "images": self.images,
            "dice": self.per_class,
            "per_image_foreground": self.per_image_foreground,
            "iou": self.iou,
            "precision": self.precision,
            "recall": self.recall,
        }
        for name in ("hd95", "object_f1", "per_image"):
            if getattr(self, name) is not None:
                own[name] = getattr(self, name)
        return own

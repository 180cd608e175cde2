"""How good a Keras model is on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from unetrt.data import IGNORED
from unetrt.keras_models import size_rule
from unetrt.overlap import OverlapCounter
from unetrt.sizes import as_batch

from .metrics import Metrics
from .objects import ObjectCounter
from .surface import SurfaceCounter
from .tta import averaged

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from unetrt.data import Sample

__all__ = ["evaluate"]


def evaluate(
    model: keras.Model,
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    *,
    tta: bool = False,
    thorough: bool = False,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> Metrics:
    """Judge `model` over whole images, one at a time.

    With `tta`, by its mean answer over flips and turns: eight times the work, so not the accuracy
    that belongs to the latency of one pass. With `thorough`, surfaces, objects and each image by
    itself are measured too.
    """
    sizes = size_rule(model)
    turns = len(set(model.input_shape[1:3])) == 1
    pooled, surfaces, objects = OverlapCounter(classes), SurfaceCounter(classes), ObjectCounter()
    per_image: dict[str, dict[str, Any]] = {}
    count, numbered = 0, False
    for count, sample in enumerate(samples, start=1):
        height, width = sample.label.shape
        x = as_batch(sample.image, sizes)
        answer = (
            averaged(model.predict_on_batch, x, turns=turns) if tta else model.predict_on_batch(x)
        )
        labels: NDArray[np.int64] = answer[0, :height, :width].argmax(axis=-1)
        pooled.add(sample.label, labels)
        if thorough:
            own = OverlapCounter(classes)
            own.add(sample.label, labels)
            per_image[sample.name] = {
                "dice": own.per_class,
                "iou": own.iou,
                "precision": own.precision,
                "recall": own.recall,
                "hd95": surfaces.add(sample.label, labels),
            }
            if sample.instances is not None:
                numbered = True
                objects.add(sample.instances, (labels > 0) & (sample.label != IGNORED))
        on_sample(count)
    return Metrics(
        images=count,
        per_class=pooled.per_class,
        per_image_foreground=pooled.per_image_foreground,
        iou=pooled.iou,
        precision=pooled.precision,
        recall=pooled.recall,
        hd95=surfaces.hd95 if thorough else None,
        object_f1=objects.f1 if numbered else None,
        per_image=per_image if thorough else None,
    )

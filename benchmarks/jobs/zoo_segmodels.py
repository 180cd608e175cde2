"""segmodels-keras, the heir of segmentation_models: four decoders over classic encoders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
import segmodels_keras

__all__ = ["MODELS"]


def _build(network: str, encoder: str, side: int | None = None, **options: object) -> keras.Model:
    return getattr(segmodels_keras, network)(
        encoder,
        input_shape=(side, side, 3),
        classes=4,
        activation="softmax",
        encoder_weights=None,
        **options,
    )


MODELS: dict[str, Callable[[], keras.Model]] = {
    "segmodels-unet": partial(_build, "Unet", "resnet34"),
    "segmodels-unet-transpose": partial(
        _build, "Unet", "mobilenetv2", decoder_block_type="transpose"
    ),
    "segmodels-linknet": partial(_build, "Linknet", "resnet18"),
    "segmodels-fpn": partial(_build, "FPN", "efficientnetb0"),
    "segmodels-pspnet": partial(_build, "PSPNet", "resnet18", side=144),
}

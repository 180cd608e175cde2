"""keras-unet-collection's descendants of the U-Net, each a size smaller than its default."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
from keras_unet_collection import models

__all__ = ["MODELS"]

_FILTERS = [16, 32, 64, 128]


def _build(network: str, *arguments: object, side: int | None, **options: object) -> keras.Model:
    return getattr(models, network)((side, side, 3), *arguments, **options)


MODELS: dict[str, Callable[[], keras.Model]] = {
    "collection-unet": partial(
        _build, "unet_2d", _FILTERS, 4, side=None, batch_norm=True, unpool=False
    ),
    "collection-unet++": partial(_build, "unet_plus_2d", _FILTERS, 4, side=128, batch_norm=True),
    "collection-unet3+": partial(_build, "unet_3plus_2d", 4, _FILTERS, side=128, batch_norm=True),
    "collection-r2unet": partial(_build, "r2_unet_2d", _FILTERS, 4, side=128, batch_norm=True),
    "collection-attunet": partial(_build, "att_unet_2d", _FILTERS, 4, side=128, batch_norm=True),
    "collection-u2net": partial(
        _build, "u2net_2d", 1, [8, 16, 32, 64, 64], side=128, batch_norm=True, deep_supervision=True
    ),
}

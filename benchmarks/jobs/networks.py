"""The networks that the conversion benchmark converts, by name."""

from __future__ import annotations

import keras

from unetrt.builder import UNetSpec, build_unet, build_unet_model

__all__ = ["CHANNELS", "NETWORKS", "build_network"]

CHANNELS = 1
NETWORKS = ("article", "tiny")
"""The article's, of 34.6 M parameters, and one that the tests convert in a moment."""


def build_network(name: str, side: int | None) -> keras.Model:
    """Build a network of two classes; `side` is its height and width, None where they are free.

    The weights are random, and the same each time.
    """
    keras.utils.set_random_seed(0)
    shape = (side, side, CHANNELS)
    if name == "article":
        return build_unet_model(shape, 2)
    return build_unet(UNetSpec(shape=shape, n_classes=2, filters=(4, 8), bottleneck=16))

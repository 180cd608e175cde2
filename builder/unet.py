"""The article's U-Net, and others by its spec.

Article: the U-Net in TensorFlow that the project's user chose, built as it means (its code does
not run). Paper: Ronneberger et al., 2015, "U-Net: Convolutional Networks for Biomedical Image
Segmentation".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import Input, Model, layers

from .blocks import bottleneck, contract, expand
from .spec import UNetSpec

if TYPE_CHECKING:
    from keras import KerasTensor

__all__ = ["build_unet", "build_unet_model"]


def build_unet(spec: UNetSpec) -> Model:
    """Build a U-Net that maps raw pixels to the probability of each class.

    Input: float32 [batch, height, width, channels], pixel values as they are in the file.
    Output: float32 [batch, height, width, n_classes], summing to 1 over the classes.
    Layer names say where a layer stands (`down2_conv1`); they reappear in ONNX and in engines.
    """
    inputs = Input(spec.shape, name="image")
    x: KerasTensor = inputs
    if (spec.pixel_mean, spec.pixel_std) != (0.0, 1.0):
        x = layers.Rescaling(
            1 / spec.pixel_std, -spec.pixel_mean / spec.pixel_std, name="normalize"
        )(x)
    skips = []
    for level, filters in enumerate(spec.filters, start=1):
        x, skip = contract(x, filters, f"down{level}", spec)
        skips.append(skip)
    x = bottleneck(x, spec)
    for level in range(len(spec.filters), 0, -1):
        x = expand(x, skips[level - 1], spec.filters[level - 1], f"up{level}", spec)
    x = layers.Conv2D(spec.n_classes, 1, name="logits")(x)
    # Softmax stays in float32 under mixed precision: it is cheap, and exp overflows float16.
    outputs = layers.Softmax(name="probabilities", dtype="float32")(x)
    return Model(inputs, outputs, name="unet")


def build_unet_model(shape: tuple[int | None, int | None, int], n_classes: int) -> Model:
    """Build the article's network: five poolings, 32 to 512 filters, a bottleneck of 1024."""
    return build_unet(UNetSpec(shape=shape, n_classes=n_classes))

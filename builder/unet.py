"""The U-Nets of the article and of the paper, and others by their spec.

Article: the U-Net in TensorFlow that the project's user chose, built as it means (its code does
not run). Paper: Ronneberger et al., 2015, "U-Net: Convolutional Networks for Biomedical Image
Segmentation".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import Input, Model, layers, ops

from .blocks import bottleneck, contract, expand
from .spec import UNetSpec

if TYPE_CHECKING:
    from keras import KerasTensor

__all__ = ["build_unet", "build_unet_model"]


def build_unet(spec: UNetSpec) -> Model:
    """Build a U-Net that maps raw pixels to the probability of each class.

    Input: float32 [batch, height, width, channels], pixel values as they are in the file.
    Output: float32 [batch, height, width, n_classes], summing to 1 over the classes if the head is
    a softmax; smaller by `spec.sizes.margin` at each edge if the network is unpadded.

    Each block is a model of its own, so that layers are named by where they stand
    (`down2/conv1`); these names reappear in ONNX and in engines. In Keras:
    `model.get_layer("down2").get_layer("conv1")`.
    """
    inputs = Input(spec.shape, name="image")
    x = _normalized_pixels(inputs, spec)
    depth = len(spec.filters)
    skips = []
    for level, filters in enumerate(spec.filters, start=1):
        x, skip = contract(x, filters, f"down{level}", spec, last=level == depth)
        skips.append(skip)
    x = bottleneck(x, spec)
    for level in range(depth, 0, -1):
        filters = spec.filters[level - 1]
        crop = skip_crop(spec, level)
        x = expand(x, skips[level - 1], filters, f"up{level}", spec, crop=crop)
    x = layers.Conv2D(spec.n_classes, 1, name="logits", dtype=spec.dtype_policy)(x)
    # The head stays in float32 under mixed precision: it is cheap, and exp overflows float16.
    head = (
        layers.Softmax(name="probabilities", dtype="float32")
        if spec.head == "softmax"
        else layers.Activation("sigmoid", name="probabilities", dtype="float32")
    )
    return Model(inputs, head(x), name="unet")


def build_unet_model(shape: tuple[int | None, int | None, int], n_classes: int) -> Model:
    """Build the article's network: five poolings, 32 to 512 filters, a bottleneck of 1024."""
    return build_unet(UNetSpec.article(shape, n_classes))


def skip_crop(spec: UNetSpec, level: int) -> int:
    """Return how many pixels the skip of a level, 1 the outermost, loses at each edge.

    The paper's: 4, 16, 40 and 88.
    """
    if spec.padding == "same":
        return 0
    per_block = spec.kernel_size - 1  # at each edge, by two convolutions
    # Down from this level and up to it again: blocks at half its scale, a quarter, ... and back.
    below = len(spec.filters) - level
    return per_block * (3 * (2 << below) - 4)


def _normalized_pixels(x: KerasTensor, spec: UNetSpec) -> KerasTensor:
    """Clip and scale in float32: 16-bit pixels do not fit float16."""
    if spec.pixel_range is not None:
        x = ops.clip(x, *spec.pixel_range)
    if (spec.pixel_mean, spec.pixel_std) != (0.0, 1.0):
        scale, offset = 1 / spec.pixel_std, -spec.pixel_mean / spec.pixel_std
        x = layers.Rescaling(scale, offset, name="normalize", dtype="float32")(x)
    return x

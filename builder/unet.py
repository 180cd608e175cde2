"""Build the U-Nets of the article and of the paper, and others by their spec.

Article: the U-Net in TensorFlow that the project's user chose, built as it means (its code does
not run). Paper: Ronneberger et al., 2015, "U-Net: Convolutional Networks for Biomedical Image
Segmentation".

A block is a Keras model of its own so that its layers are named by where they stand: `conv1` in the
block `down2` is `down2/conv1` in ONNX, in the engine and in reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import Input, Model, layers, ops

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

    Example:
        >>> spec = UNetSpec(shape=(64, 64, 1), n_classes=2, filters=(4, 8), bottleneck=16)
        >>> build_unet(spec).output_shape
        (None, 64, 64, 2)
    """
    inputs = Input(spec.shape, name="image")
    x = _normalized_pixels(inputs, spec)
    depth = len(spec.filters)
    skips = []
    for level, filters in enumerate(spec.filters, start=1):
        x, skip = _contract(x, filters, f"down{level}", spec, last=level == depth)
        skips.append(skip)
    x = _bottleneck(x, spec)
    for level in range(depth, 0, -1):
        filters = spec.filters[level - 1]
        crop = _skip_crop(spec, level)
        x = _expand(x, skips[level - 1], filters, f"up{level}", spec, crop=crop)
    x = layers.Conv2D(spec.n_classes, 1, name="logits", dtype=spec.dtype_policy)(x)
    # The head stays in float32 under mixed precision: it is cheap, and exp overflows float16.
    head = (
        layers.Softmax(name="probabilities", dtype="float32")
        if spec.head == "softmax"
        else layers.Activation("sigmoid", name="probabilities", dtype="float32")
    )
    return Model(inputs, head(x), name="unet")


def build_unet_model(shape: tuple[int | None, int | None, int], n_classes: int) -> Model:
    """Build the article's network: five poolings, 32 to 512 filters, a bottleneck of 1024.

    Example:
        >>> build_unet_model((32, 32, 1), n_classes=2).output_shape
        (None, 32, 32, 2)
    """
    return build_unet(UNetSpec.article(shape, n_classes))


def _normalized_pixels(x: KerasTensor, spec: UNetSpec) -> KerasTensor:
    """Clip and scale in float32: 16-bit pixels do not fit float16."""
    if spec.pixel_range is not None:
        x = ops.clip(x, *spec.pixel_range)
    if (spec.pixel_mean, spec.pixel_std) != (0.0, 1.0):
        scale, offset = 1 / spec.pixel_std, -spec.pixel_mean / spec.pixel_std
        x = layers.Rescaling(scale, offset, name="normalize", dtype="float32")(x)
    return x


def _contract(
    x: KerasTensor, filters: int, name: str, spec: UNetSpec, *, last: bool
) -> tuple[KerasTensor, KerasTensor]:
    """Add two convolutions and a 2x2 max-pooling; return the pooled features and the skip."""
    inputs = _entrance(x)
    skip = _double_conv(inputs, filters, spec)
    down = layers.MaxPooling2D(2, name="pool", dtype=spec.dtype_policy)(skip)
    if spec.dropout_at == "blocks" or last:
        down = _dropout(down, spec)
    down, skip = Model(inputs, [down, skip], name=name)(x)
    return down, skip


def _bottleneck(x: KerasTensor, spec: UNetSpec) -> KerasTensor:
    """Add two convolutions at the smallest size."""
    inputs = _entrance(x)
    outputs = _double_conv(inputs, spec.bottleneck, spec)
    if spec.dropout_at == "bottom":
        outputs = _dropout(outputs, spec)
    return Model(inputs, outputs, name="bottleneck")(x)


def _expand(
    x: KerasTensor, skip: KerasTensor, filters: int, name: str, spec: UNetSpec, *, crop: int
) -> KerasTensor:
    """Scale up by two, concatenate the skip, add two convolutions.

    `crop` pixels of the skip are cut off at each edge, as an unpadded network needs it.
    """
    below, beside = inputs = _entrance(x), _entrance(skip)
    up = _scale_up(below, filters, spec)
    if crop:
        beside = layers.Cropping2D(crop, name="crop", dtype=spec.dtype_policy)(beside)
    if spec.attention:
        beside = _attended(beside, up, filters, spec)
    joined = layers.Concatenate(name="concat", dtype=spec.dtype_policy)([up, beside])
    if spec.dropout_at == "blocks":
        joined = _dropout(joined, spec)
    return Model(inputs, _double_conv(joined, filters, spec), name=name)([x, skip])


def _skip_crop(spec: UNetSpec, level: int) -> int:
    """Return the pixels that the skip of a level, 1 the outermost, loses at each edge.

    The paper's lose 4, 16, 40 and 88.
    """
    if spec.padding == "same":
        return 0
    per_block = spec.kernel_size - 1  # at each edge, by two convolutions
    # Down from this level and up to it again: blocks at half its scale, a quarter, ... and back.
    below = len(spec.filters) - level
    return per_block * (3 * (2 << below) - 4)


def _entrance(x: KerasTensor) -> KerasTensor:
    return Input(x.shape[1:], dtype=x.dtype)


def _double_conv(x: KerasTensor, filters: int, spec: UNetSpec) -> KerasTensor:
    inputs = x
    x = _activated(_normalized(_conv(x, filters, "conv1", spec), "norm1", spec), "1", spec)
    x = _normalized(_conv(x, filters, "conv2", spec), "norm2", spec)
    if spec.residual:
        x = layers.Add(name="residual", dtype=spec.dtype_policy)([x, _shortcut(inputs, x, spec)])
    return _activated(x, "2", spec)


def _conv(x: KerasTensor, filters: int, name: str, spec: UNetSpec) -> KerasTensor:
    return layers.Conv2D(
        filters,
        spec.kernel_size,
        padding=spec.padding,
        kernel_initializer="he_normal",  # for ReLU; the paper's N(0, sqrt(2/N))
        use_bias=spec.normalization == "none",
        name=name,
        dtype=spec.dtype_policy,
    )(x)


def _normalized(x: KerasTensor, name: str, spec: UNetSpec) -> KerasTensor:
    if spec.normalization == "batch":
        # Momentum 0.9: a run of a few hundred steps never forgets Keras' 0.99 start.
        return layers.BatchNormalization(momentum=0.9, name=name, dtype=spec.dtype_policy)(x)
    if spec.normalization == "group":
        filters = int(x.shape[-1])
        groups = next(n for n in range(min(spec.groups, filters), 0, -1) if filters % n == 0)
        return layers.GroupNormalization(groups, name=name, dtype=spec.dtype_policy)(x)
    return x


def _activated(x: KerasTensor, number: str, spec: UNetSpec) -> KerasTensor:
    if spec.activation == "relu":
        return layers.ReLU(name=f"relu{number}", dtype=spec.dtype_policy)(x)
    name = f"{spec.activation}{number}"
    return layers.Activation(spec.activation, name=name, dtype=spec.dtype_policy)(x)


def _shortcut(inputs: KerasTensor, outputs: KerasTensor, spec: UNetSpec) -> KerasTensor:
    """Return the input of a block in the shape of its output."""
    if spec.padding == "valid":
        inputs = layers.Cropping2D(
            spec.kernel_size - 1, name="residual_crop", dtype=spec.dtype_policy
        )(inputs)
    if inputs.shape[-1] != outputs.shape[-1]:
        inputs = layers.Conv2D(outputs.shape[-1], 1, name="residual_conv", dtype=spec.dtype_policy)(
            inputs
        )
    return inputs


def _scale_up(x: KerasTensor, filters: int, spec: UNetSpec) -> KerasTensor:
    kernel = spec.upsampling_kernel
    if spec.upsampling == "transposed":
        return layers.Conv2DTranspose(
            filters, kernel, strides=2, padding="same", name="upconv", dtype=spec.dtype_policy
        )(x)
    x = layers.UpSampling2D(
        2, interpolation=spec.upsampling, name="resize", dtype=spec.dtype_policy
    )(x)
    return layers.Conv2D(filters, kernel, padding="same", name="upconv", dtype=spec.dtype_policy)(x)


def _attended(skip: KerasTensor, gate: KerasTensor, filters: int, spec: UNetSpec) -> KerasTensor:
    """Weigh each pixel of the skip between 0 and 1 (Oktay et al. 2018, the additive gate)."""
    between = max(1, filters // 2)
    policy = spec.dtype_policy
    asked = layers.Conv2D(between, 1, name="gate_query", dtype=policy)(gate)
    shown = layers.Conv2D(between, 1, use_bias=False, name="gate_key", dtype=policy)(skip)
    x = layers.Add(name="gate_sum", dtype=policy)([asked, shown])
    x = layers.ReLU(name="gate_relu", dtype=policy)(x)
    x = layers.Conv2D(1, 1, name="gate_conv", dtype=policy)(x)
    weights = layers.Activation("sigmoid", name="gate", dtype=policy)(x)
    return layers.Multiply(name="gated", dtype=policy)([skip, weights])


def _dropout(x: KerasTensor, spec: UNetSpec) -> KerasTensor:
    if not spec.dropout:
        return x
    return layers.Dropout(spec.dropout, name="dropout", dtype=spec.dtype_policy)(x)

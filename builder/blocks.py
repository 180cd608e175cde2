"""The three blocks of a U-Net: contracting, bottleneck, expanding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import layers

from .spec import UNetSpec

if TYPE_CHECKING:
    from keras import KerasTensor

__all__ = ["bottleneck", "contract", "expand"]


def contract(
    x: KerasTensor, filters: int, name: str, spec: UNetSpec
) -> tuple[KerasTensor, KerasTensor]:
    """Two convolutions, 2x2 max-pooling, dropout; returns what goes down and the skip."""
    skip = _double_conv(x, filters, name, spec)
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(skip)
    return _dropout(x, name, spec), skip


def bottleneck(x: KerasTensor, spec: UNetSpec) -> KerasTensor:
    """Two convolutions at the smallest size."""
    return _double_conv(x, spec.bottleneck, "bottleneck", spec)


def expand(
    x: KerasTensor, skip: KerasTensor, filters: int, name: str, spec: UNetSpec
) -> KerasTensor:
    """3x3 transposed convolution of stride 2, the skip beside it, dropout, two convolutions."""
    x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", name=f"{name}_upconv")(x)
    x = layers.Concatenate(name=f"{name}_concat")([x, skip])
    return _double_conv(_dropout(x, name, spec), filters, name, spec)


def _double_conv(x: KerasTensor, filters: int, name: str, spec: UNetSpec) -> KerasTensor:
    for conv in (f"{name}_conv1", f"{name}_conv2"):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_initializer="he_normal",  # for ReLU; the paper's N(0, sqrt(2/N))
            use_bias=spec.normalization == "none",
            name=conv,
        )(x)
        if spec.normalization == "batch":
            # Momentum 0.9: a run of a few hundred steps never forgets Keras' 0.99 start.
            x = layers.BatchNormalization(momentum=0.9, name=f"{conv}_norm")(x)
        x = layers.ReLU(name=f"{conv}_relu")(x)
    return x


def _dropout(x: KerasTensor, name: str, spec: UNetSpec) -> KerasTensor:
    return layers.Dropout(spec.dropout, name=f"{name}_dropout")(x) if spec.dropout else x

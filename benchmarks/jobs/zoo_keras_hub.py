"""keras-hub's segmenters, built from their settings: no preset, nothing downloaded."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras_hub import models

__all__ = ["MODELS"]

SIDE = 128
CLASSES = 4


def _resnet(block: str, side: int | None) -> keras.Model:
    return models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2] if block == "basic_block" else [3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block,
        image_shape=(side, side, 3),
    )


def _deeplab(*, plus: bool) -> keras.Model:
    backbone = models.DeepLabV3Backbone(
        image_encoder=_resnet("bottleneck_block" if plus else "basic_block", SIDE),
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2" if plus else None,
        upsampling_size=4 if plus else 16,
        dilation_rates=[6, 12, 18],
        image_shape=(SIDE, SIDE, 3),
    )
    return models.DeepLabV3ImageSegmenter(backbone, num_classes=CLASSES, activation="softmax")


def _segformer() -> keras.Model:
    encoder = models.MiTBackbone(  # B0
        image_shape=(SIDE, SIDE, 3),
        layerwise_depths=[2, 2, 2, 2],
        max_drop_path_rate=0.1,
        num_layers=4,
        hidden_dims=[32, 64, 160, 256],
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
    )
    backbone = models.SegFormerBackbone(image_encoder=encoder, projection_filters=256)
    return models.SegFormerImageSegmenter(backbone=backbone, num_classes=CLASSES)


def _basnet() -> keras.Model:
    backbone = models.BASNetBackbone(
        image_encoder=_resnet("basic_block", None),
        num_classes=1,
        projection_filters=64,
        image_shape=(256, 256, 3),
    )
    return models.BASNetImageSegmenter(backbone)


MODELS: dict[str, Callable[[], keras.Model]] = {
    "deeplabv3-resnet18": lambda: _deeplab(plus=False),
    "deeplabv3plus-resnet50": lambda: _deeplab(plus=True),
    "segformer-b0": _segformer,
    "basnet-resnet18": _basnet,
}

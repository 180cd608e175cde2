"""medicai's two-dimensional networks for medical images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
from medicai import models

__all__ = ["MODELS"]


def _build(network: str, encoder: str, side: int = 128, **options: object) -> keras.Model:
    return getattr(models, network)(
        input_shape=(side, side, 3),
        encoder_name=encoder,
        num_classes=4,
        classifier_activation="softmax",
        **options,
    )


MODELS: dict[str, Callable[[], keras.Model]] = {
    "medicai-unet": partial(_build, "UNet", "densenet121"),
    "medicai-unet++": partial(_build, "UNetPlusPlus", "resnet18"),
    "medicai-attention-unet": partial(_build, "AttentionUNet", "efficientnet_b0"),
    "medicai-deeplabv3plus": partial(_build, "DeepLabV3Plus", "efficientnet_v2_b0"),
    "medicai-segformer": partial(_build, "SegFormer", "mit_b0"),
    "medicai-upernet": partial(_build, "UPerNet", "convnext_tiny"),
    "medicai-transunet": partial(
        _build, "TransUNet", "resnet50", num_vit_layers=4, num_queries=16, embed_dim=256
    ),
    "medicai-unetr": partial(_build, "UNETR", "vit_base"),
    "medicai-swin-unetr": partial(_build, "SwinUNETR", "swin_tiny"),
}

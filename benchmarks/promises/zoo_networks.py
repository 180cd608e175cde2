"""Build the zoo: segmentation networks that this project did not write, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

__all__ = ["ZOO", "ZooNetwork"]

_CLASSES = 4
_SIDE = 128
"""Height and width of networks that need them fixed."""


@dataclass(frozen=True, slots=True)
class ZooNetwork:
    """Build a network of the zoo, and name the package that it comes from.

    Attributes:
        package: its name on PyPI.
        build: returns the Keras model; only this loads the package.
    """

    package: str
    build: Callable[[], Any]


def _fcn(application: str) -> Any:
    """Return FCN-32s: an application without its top, a 1x1 convolution, upsampling to full size.

    Long et al., 2015, "Fully Convolutional Networks for Semantic Segmentation".
    """
    import keras
    from keras import layers

    build = getattr(keras.applications, application)
    encoder = build(include_top=False, weights=None, input_shape=(None, None, 3))
    x = layers.Conv2D(_CLASSES, 1, name="score")(encoder.output)
    x = layers.UpSampling2D(32, interpolation="bilinear", name="full_size")(x)
    outputs = layers.Softmax(name="probabilities")(x)
    return keras.Model(encoder.input, outputs, name=f"fcn_{application.lower()}")


def _fcn8(application: str, taps: tuple[str, str]) -> Any:
    """Return FCN-8s: scores at 1/32, 1/16 and 1/8, added up by transposed convolutions.

    `taps` are the encoder's layers at 1/8 and 1/16. The encoder is nested: one layer of the model.
    """
    import keras
    from keras import layers

    build = getattr(keras.applications, application)
    base = build(include_top=False, weights=None, input_shape=(None, None, 3))
    features = [base.get_layer(name).output for name in taps] + [base.output]
    encoder = keras.Model(base.input, features, name="encoder")
    image = keras.Input((None, None, 3), name="image")
    eighth, sixteenth, deepest = encoder(image)
    x = layers.Conv2D(_CLASSES, 1, name="score32")(deepest)
    for name, skip in (("score16", sixteenth), ("score8", eighth)):
        x = layers.Conv2DTranspose(_CLASSES, 4, strides=2, padding="same", name=f"{name}_up")(x)
        x = layers.Add()([x, layers.Conv2D(_CLASSES, 1, name=name)(skip)])
    x = layers.Conv2DTranspose(_CLASSES, 16, strides=8, padding="same", name="full_size")(x)
    outputs = layers.Activation("softmax", name="probabilities")(x)
    return keras.Model(image, outputs, name=f"fcn8_{application.lower()}")


def _hub_resnet(block: str, side: int | None) -> Any:
    from keras_hub import models

    return models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2] if block == "basic_block" else [3, 4, 6, 3],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block,
        image_shape=(side, side, 3),
    )


def _hub_deeplab(*, plus: bool) -> Any:
    from keras_hub import models

    backbone = models.DeepLabV3Backbone(
        image_encoder=_hub_resnet("bottleneck_block" if plus else "basic_block", _SIDE),
        spatial_pyramid_pooling_key="P4",
        low_level_feature_key="P2" if plus else None,
        upsampling_size=4 if plus else 16,
        dilation_rates=[6, 12, 18],
        image_shape=(_SIDE, _SIDE, 3),
    )
    return models.DeepLabV3ImageSegmenter(backbone, num_classes=_CLASSES, activation="softmax")


def _hub_segformer_b0() -> Any:
    from keras_hub import models

    encoder = models.MiTBackbone(
        image_shape=(_SIDE, _SIDE, 3),
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
    return models.SegFormerImageSegmenter(backbone=backbone, num_classes=_CLASSES)


def _hub_basnet() -> Any:
    from keras_hub import models

    backbone = models.BASNetBackbone(
        image_encoder=_hub_resnet("basic_block", None),
        num_classes=1,
        projection_filters=64,
        image_shape=(256, 256, 3),
    )
    return models.BASNetImageSegmenter(backbone)


def _segmodels(network: str, encoder: str, *, side: int | None = None, **options: object) -> Any:
    import segmodels_keras

    return getattr(segmodels_keras, network)(
        encoder,
        input_shape=(side, side, 3),
        classes=_CLASSES,
        activation="softmax",
        encoder_weights=None,
        **options,
    )


def _medicai(network: str, encoder: str, **options: object) -> Any:
    from medicai import models

    return getattr(models, network)(
        input_shape=(_SIDE, _SIDE, 3),
        encoder_name=encoder,
        num_classes=_CLASSES,
        classifier_activation="softmax",
        **options,
    )


def _collection(
    network: str, *arguments: object, side: int | None = _SIDE, **options: object
) -> Any:
    """Return a descendant of the U-Net, a size smaller than its default."""
    from keras_unet_collection import models

    return getattr(models, network)((side, side, 3), *arguments, batch_norm=True, **options)


_FILTERS = [16, 32, 64, 128]
_APPLICATIONS = {
    "fcn8-vgg16": partial(_fcn8, "VGG16", ("block3_pool", "block4_pool")),
    "fcn8-resnet50": partial(_fcn8, "ResNet50", ("conv3_block4_out", "conv4_block6_out")),
    "fcn-resnet50v2": partial(_fcn, "ResNet50V2"),
    "fcn-mobilenetv2": partial(_fcn, "MobileNetV2"),
    "fcn-mobilenetv3": partial(_fcn, "MobileNetV3Small"),
    "fcn-densenet121": partial(_fcn, "DenseNet121"),
    "fcn-efficientnetb0": partial(_fcn, "EfficientNetB0"),
    "fcn-efficientnetv2b0": partial(_fcn, "EfficientNetV2B0"),
    "fcn-convnext-tiny": partial(_fcn, "ConvNeXtTiny"),
    "fcn-xception": partial(_fcn, "Xception"),
}
# Built from their settings: no preset, nothing downloaded.
_KERAS_HUB: dict[str, Callable[[], Any]] = {
    "deeplabv3-resnet18": partial(_hub_deeplab, plus=False),
    "deeplabv3plus-resnet50": partial(_hub_deeplab, plus=True),
    "segformer-b0": _hub_segformer_b0,
    "basnet-resnet18": _hub_basnet,
}
_SEGMODELS = {
    "segmodels-unet": partial(_segmodels, "Unet", "resnet34"),
    "segmodels-unet-transpose": partial(
        _segmodels, "Unet", "mobilenetv2", decoder_block_type="transpose"
    ),
    "segmodels-linknet": partial(_segmodels, "Linknet", "resnet18"),
    "segmodels-fpn": partial(_segmodels, "FPN", "efficientnetb0"),
    "segmodels-pspnet": partial(_segmodels, "PSPNet", "resnet18", side=144),
}
_MEDICAI = {
    "medicai-unet": partial(_medicai, "UNet", "densenet121"),
    "medicai-unet++": partial(_medicai, "UNetPlusPlus", "resnet18"),
    "medicai-attention-unet": partial(_medicai, "AttentionUNet", "efficientnet_b0"),
    "medicai-segformer": partial(_medicai, "SegFormer", "mit_b0"),
    "medicai-unetr": partial(_medicai, "UNETR", "vit_base"),
    "medicai-swin-unetr": partial(_medicai, "SwinUNETR", "swin_tiny"),
    "medicai-deeplabv3plus": partial(_medicai, "DeepLabV3Plus", "efficientnet_v2_b0"),
    "medicai-upernet": partial(_medicai, "UPerNet", "convnext_tiny"),
    "medicai-transunet": partial(
        _medicai, "TransUNet", "resnet50", num_vit_layers=4, num_queries=16, embed_dim=256
    ),
}
_COLLECTION = {
    "collection-unet": partial(_collection, "unet_2d", _FILTERS, _CLASSES, side=None, unpool=False),
    "collection-unet++": partial(_collection, "unet_plus_2d", _FILTERS, _CLASSES),
    "collection-unet3+": partial(_collection, "unet_3plus_2d", _CLASSES, _FILTERS),
    "collection-r2unet": partial(_collection, "r2_unet_2d", _FILTERS, _CLASSES),
    "collection-attunet": partial(_collection, "att_unet_2d", _FILTERS, _CLASSES),
    "collection-u2net": partial(
        _collection, "u2net_2d", 1, [8, 16, 32, 64, 64], deep_supervision=True
    ),
}
_PACKAGES: dict[str, Mapping[str, Callable[[], Any]]] = {
    "keras": _APPLICATIONS,
    "keras-hub": _KERAS_HUB,
    "segmodels-keras": _SEGMODELS,
    "medicai": _MEDICAI,
    "keras-unet-collection": _COLLECTION,
}
ZOO = {
    name: ZooNetwork(package, build)
    for package, networks in _PACKAGES.items()
    for name, build in networks.items()
}
"""Every network by its name, in the order of the page."""

"""The zoo: segmentation networks that this project did not write."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ZOO", "ZooModel"]


@dataclass(frozen=True, slots=True)
class ZooModel:
    """A network's name, the package it comes from, and the module in jobs/ that builds it."""

    name: str
    package: str
    recipes: str


_NAMES = {
    ("keras", "zoo_applications"): (
        "fcn8-vgg16", "fcn8-resnet50", "fcn-resnet50v2", "fcn-mobilenetv2", "fcn-mobilenetv3",
        "fcn-densenet121", "fcn-efficientnetb0", "fcn-efficientnetv2b0", "fcn-convnext-tiny",
        "fcn-xception",
    ),
    ("keras-hub", "zoo_keras_hub"): (
        "deeplabv3-resnet18", "deeplabv3plus-resnet50", "segformer-b0", "basnet-resnet18",
    ),
    ("segmodels-keras", "zoo_segmodels"): (
        "segmodels-unet", "segmodels-unet-transpose", "segmodels-linknet", "segmodels-fpn",
        "segmodels-pspnet",
    ),
    ("medicai", "zoo_medicai"): (
        "medicai-unet", "medicai-unet++", "medicai-attention-unet", "medicai-segformer",
        "medicai-unetr", "medicai-swin-unetr", "medicai-deeplabv3plus", "medicai-upernet",
        "medicai-transunet",
    ),
    ("keras-unet-collection", "zoo_unet_collection"): (
        "collection-unet", "collection-unet++", "collection-unet3+", "collection-r2unet",
        "collection-attunet", "collection-u2net",
    ),
}  # fmt: skip

ZOO = tuple(
    ZooModel(name, package, recipes)
    for (package, recipes), names in _NAMES.items()
    for name in names
)

"""Keras' own applications as encoders, under the plainest decoder there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
from keras import layers

__all__ = ["MODELS"]

CLASSES = 4


def _fcn(application: str, **options: object) -> keras.Model:
    """Return an application without its top, a 1x1 convolution, and an upsampling to full size.

    Long et al., 2015, "Fully Convolutional Networks for Semantic Segmentation": FCN-32s.
    """
    build = getattr(keras.applications, application)
    encoder = build(include_top=False, weights=None, input_shape=(None, None, 3), **options)
    x = layers.Conv2D(CLASSES, 1, name="score")(encoder.output)
    x = layers.UpSampling2D(32, interpolation="bilinear", name="full_size")(x)
    outputs = layers.Softmax(name="probabilities")(x)
    return keras.Model(encoder.input, outputs, name=f"fcn_{application.lower()}")


def _fcn8(application: str, taps: tuple[str, str]) -> keras.Model:
    """Return FCN-8s: scores at 1/32, 1/16 and 1/8, added up by transposed convolutions.

    `taps` are the encoder's layers at 1/8 and 1/16. The encoder is nested: one layer of the model.
    """
    build = getattr(keras.applications, application)
    base = build(include_top=False, weights=None, input_shape=(None, None, 3))
    features = [base.get_layer(name).output for name in taps] + [base.output]
    encoder = keras.Model(base.input, features, name="encoder")
    image = keras.Input((None, None, 3), name="image")
    eighth, sixteenth, deepest = encoder(image)
    x = layers.Conv2D(CLASSES, 1, name="score32")(deepest)
    for name, skip in (("score16", sixteenth), ("score8", eighth)):
        x = layers.Conv2DTranspose(CLASSES, 4, strides=2, padding="same", name=f"{name}_up")(x)
        x = layers.Add()([x, layers.Conv2D(CLASSES, 1, name=name)(skip)])
    x = layers.Conv2DTranspose(CLASSES, 16, strides=8, padding="same", name="full_size")(x)
    outputs = layers.Activation("softmax", name="probabilities")(x)
    return keras.Model(image, outputs, name=f"fcn8_{application.lower()}")


MODELS: dict[str, Callable[[], keras.Model]] = {
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

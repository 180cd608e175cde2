"""Deep supervision: heads on inner blocks, which exist only while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from unetrt.errors import BadInput

__all__ = ["Scale", "loss_weights", "supervised"]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the pixels of an auxiliary head lie among the labels.

    Attributes:
        step: pixels of the labels for one of the head's.
        offset: the label, from the left and from above, that its first pixel stands for.
        side: pixels of the head's answer.
    """

    step: int
    offset: int
    side: int

    def of(self, labels: Any) -> Any:
        """Return [batch, h, w] as the head sees it, by the nearest pixel."""
        chosen = slice(self.offset, self.offset + self.step * (self.side - 1) + 1, self.step)
        return labels[:, chosen, chosen]


def loss_weights(heads: int) -> list[float]:
    """Return the weight of the main head and of `heads` auxiliary ones: halves, summing to 1."""
    weights = [0.5**k for k in range(heads + 1)]
    return [weight / sum(weights) for weight in weights]


def supervised(
    model: keras.Model, heads: int, *, image_side: int, label_side: int, sigmoid: bool
) -> tuple[keras.Model, tuple[Scale, ...]]:
    """Return a model that shares `model`'s layers and answers at `heads` lower scales too.

    The heads stand on `up2`, `up3`, ...: a 1 x 1 convolution and what the main head ends in.
    An unpadded network sees more there than the labels cover: those pixels are cut off.

    Raises:
        BadInput: the model has no such blocks, or with answers at other scales, or the crop is
            too small.
    """
    answers, scales = [], []
    for level in range(2, heads + 2):
        inner = _output_of(model, f"up{level}", heads)
        step = 2 ** (level - 1)
        shape = (1, image_side, image_side, model.input_shape[-1])
        side = keras.Model(model.inputs, inner).compute_output_shape(shape)[1]
        if not label_side <= side * step <= image_side:
            raise BadInput(
                f"Cannot supervise up{level} of {model.name!r}",
                got=f"an answer of {side} pixels for labels of {label_side}",
                expected=f"one pixel for {step}, as in a U-Net of build_unet",
                hint="lower deep_supervision",
            )
        cut = -((label_side - side * step) // (2 * step))  # rounded up
        side -= 2 * cut
        if side < 1:
            raise BadInput(
                f"Cannot supervise up{level} of {model.name!r}",
                got=f"crops of {label_side} pixels, of which it sees none whole",
                expected="larger ones",
                hint="raise the crop, or lower deep_supervision",
            )
        offset = (label_side - side * step) // 2 + step // 2
        answers.append(_head(inner, level, cut, model.output_shape[-1], sigmoid=sigmoid))
        scales.append(Scale(step, offset, side))
    return keras.Model(model.inputs, [*model.outputs, *answers], name=model.name), tuple(scales)


def _output_of(model: keras.Model, name: str, heads: int) -> Any:
    try:
        block = model.get_layer(name)
    except ValueError as error:
        has = [layer.name for layer in model.layers if layer.name.startswith("up")]
        raise BadInput(
            f"Cannot supervise {heads} inner block{'s' if heads > 1 else ''} of {model.name!r}",
            got=f"a model with {', '.join(has) if has else 'no block named up1, up2, ...'}",
            expected=f"a block named {name}",
            hint="lower deep_supervision, or build the network with build_unet",
        ) from error
    # A nested model has an output of its own as well; this is the one in the outer graph.
    return keras.Operation.output.fget(block)


def _head(inner: Any, level: int, cut: int, n_classes: int, *, sigmoid: bool) -> Any:
    name = f"supervision{level}"
    if cut:
        inner = layers.Cropping2D(cut, name=f"{name}_crop", dtype=inner.dtype)(inner)
    policy = "float32" if inner.dtype == "float32" else f"mixed_{inner.dtype}"
    logits = layers.Conv2D(n_classes, 1, name=f"{name}_logits", dtype=policy)(inner)
    end = (
        layers.Activation("sigmoid", name=name, dtype="float32")
        if sigmoid
        else layers.Softmax(name=name, dtype="float32")
    )
    return end(logits)

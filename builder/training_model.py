"""Prepare a model for training: auxiliary heads, fused normalisation, a copy on each device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from types import MethodType
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from unetrt.errors import BadInput

from .crops import CropStream
from .losses import make_loss
from .train_spec import TrainSpec

__all__ = [
    "AuxiliaryHead",
    "computes_in_float16",
    "copy_under",
    "freeze_layers",
    "fused_normalization",
    "loss_weights",
    "make_optimizer",
    "model_to_train",
    "scope_of",
    "strategy_for",
    "with_auxiliary_heads",
]

_SMALLEST_EPSILON = 1.001e-5
"""Smallest epsilon that cuDNN takes."""

_PAPER_MOMENTUM = 0.99
"""Ronneberger et al. 2015, section 3: many past steps count, since a batch is one image."""


def model_to_train(
    model: keras.Model, spec: TrainSpec, stream: CropStream
) -> tuple[keras.Model, tuple[AuxiliaryHead, ...]]:
    """Return a compiled model on the layers of `model`, and its auxiliary heads.

    `model` itself stays as it is: compiled, it would be saved with its optimizer's momenta.
    """
    sigmoid = _ends_in_sigmoid(model)
    trained, heads = with_auxiliary_heads(
        model,
        spec.deep_supervision,
        image_size=stream.image_size,
        label_size=stream.label_size,
        sigmoid=sigmoid,
    )
    loss = make_loss(spec, n_classes=model.output_shape[-1], sigmoid=sigmoid)
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    if devices > 1:
        loss = SharedLoss(loss, devices)
    optimizer = make_optimizer(spec, loss_scaling=computes_in_float16(model))
    trained.compile(
        optimizer=optimizer,
        loss=[loss] * (len(heads) + 1) if heads else loss,
        loss_weights=loss_weights(len(heads)) if heads else None,
        # On two CPU cores XLA made a step five times slower.
        jit_compile="auto" if tf.config.list_logical_devices("GPU") else False,
    )
    optimizer.build(trained.trainable_variables)
    return trained, heads


@dataclass(frozen=True, slots=True)
class AuxiliaryHead:
    """Place the pixels of an auxiliary head among the labels.

    Attributes:
        step: pixels of the labels for one of the head's.
        offset: row and column of the label of its first pixel.
        size: height and width of the head's output in pixels.
    """

    step: int
    offset: tuple[int, int]
    size: tuple[int, int]

    def downsampled(self, labels: Any) -> Any:
        """Return labels [batch, h, w] at the head's scale, by the nearest pixel."""
        rows, columns = (
            slice(offset, offset + self.step * (side - 1) + 1, self.step)
            for offset, side in zip(self.offset, self.size, strict=True)
        )
        return labels[:, rows, columns]


def with_auxiliary_heads(
    model: keras.Model,
    heads: int,
    *,
    image_size: tuple[int, int],
    label_size: tuple[int, int],
    sigmoid: bool,
) -> tuple[keras.Model, tuple[AuxiliaryHead, ...]]:
    """Return a model that shares `model`'s layers and has `heads` more outputs at lower scales.

    The heads stand on `up2`, `up3`, ...: a 1 x 1 convolution and the main head's activation. The
    features of an unpadded network are wider than the labels: those pixels are cut off.

    Raises:
        BadInput: the model has no such blocks, or with outputs at other scales, or the crop is
            too small.
    """
    outputs, auxiliary = [], []
    for level in range(2, heads + 2):
        inner = _output_of(model, f"up{level}", heads)
        step = 2 ** (level - 1)
        shape = (1, *image_size, model.input_shape[-1])
        given = keras.Model(model.inputs, inner).compute_output_shape(shape)[1:3]
        what = f"Cannot supervise up{level} of {model.name!r}"
        cuts, size, offset = [], [], []
        for side, label_side, image_side in zip(given, label_size, image_size, strict=True):
            if not label_side <= side * step <= image_side:
                raise BadInput(
                    what,
                    got=f"an output of {side} pixels for labels of {label_side}",
                    expected=f"one pixel for {step}, as in a U-Net of build_unet",
                    hint="lower deep_supervision",
                )
            cut = -((label_side - side * step) // (2 * step))  # rounded up
            cuts.append(cut)
            size.append(side - 2 * cut)
            offset.append((label_side - size[-1] * step) // 2 + step // 2)
        if min(size) < 1:
            raise BadInput(
                what,
                got=f"crops of {min(label_size)} pixels, fewer than one of its own",
                expected="larger ones",
                hint="raise the crop, or lower deep_supervision",
            )
        outputs.append(_head(inner, level, tuple(cuts), model.output_shape[-1], sigmoid=sigmoid))
        auxiliary.append(AuxiliaryHead(step, (offset[0], offset[1]), (size[0], size[1])))
    combined = keras.Model(model.inputs, [*model.outputs, *outputs], name=model.name)
    return combined, tuple(auxiliary)


def loss_weights(heads: int) -> list[float]:
    """Return the loss weights of the main head and of `heads` auxiliary ones: halves, sum 1."""
    weights = [0.5**k for k in range(heads + 1)]
    return [weight / sum(weights) for weight in weights]


def strategy_for(spec: TrainSpec) -> tf.distribute.Strategy | None:
    """Return the strategy that spreads training over all GPUs or, without any, CPU devices.

    Returns:
        None where there is one device, or one is asked for.

    Raises:
        BadInput: the batch cannot be shared out evenly.
    """
    if spec.devices == "one":
        return None
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    count = len(devices)
    if count == 1:
        return None
    if spec.batch % count:
        below = spec.batch // count * count
        raise BadInput(
            f"Cannot share a batch among {count} devices",
            got=f"batch {spec.batch}",
            expected=" or ".join(str(batch) for batch in (below, below + count) if batch),
        )
    return _mirrored(tuple(device.name for device in devices))


def scope_of(strategy: tf.distribute.Strategy | None) -> AbstractContextManager[object]:
    """Return the context in which the model to train must be made."""
    return nullcontext() if strategy is None else strategy.scope()


def copy_under(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """Return a copy of `model` with a replica on each device."""
    with strategy.scope():
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    return copy


def freeze_layers(model: keras.Model, patterns: Sequence[str]) -> None:
    """Keep layers of `model` as they are: their weights, and their batch statistics.

    Args:
        model: all other layers stay as they are marked.
        patterns: of paths through nested models, such as "down1", "down*/conv1" or "down*".

    Raises:
        BadInput: a pattern that no layer with weights has, or nothing is left to train.
    """
    paths = dict(_with_weights(model))
    for pattern in patterns:
        found = [layer for path, layer in paths.items() if _lies_in(path, pattern)]
        if not found:
            raise BadInput(
                f"Cannot freeze {pattern!r}",
                got=f"no layer of {model.name!r} of that name",
                expected=f"a pattern of {', '.join(dict.fromkeys(p.split('/')[0] for p in paths))}",
            )
        for layer in found:
            layer.trainable = False
    if patterns and not model.trainable_variables:
        raise BadInput(
            f"Nothing is left to train of {model.name!r}",
            got=f"all layers frozen by {', '.join(patterns)}",
            expected="at least one that trains",
        )


def _with_weights(model: keras.Model, within: str = "") -> Iterator[tuple[str, layers.Layer]]:
    """Yield the path and the layer of every layer with weights, those of nested models too."""
    for layer in model.layers:
        path = f"{within}{layer.name}"
        if isinstance(layer, keras.Model):
            yield from _with_weights(layer, f"{path}/")
        elif layer.weights:
            yield path, layer


def _lies_in(path: str, pattern: str) -> bool:
    """Return whether the pattern fits a path, or that of a model it leads through."""
    parts = path.split("/")
    return any(fnmatchcase("/".join(parts[:depth]), pattern) for depth in range(1, len(parts) + 1))


@contextmanager
def fused_normalization(model: keras.Model) -> Iterator[None]:
    """Let the batch normalisations of `model` train in the fused kernel, while the block runs.

    A layer's own method is set aside rather than the layer replaced: the model stays one of
    Keras' own layers, which any program can read. Layers that the kernel cannot train (another
    axis, renormalisation, statistics across devices) are left alone.
    """
    found = [layer for layer in _normalizations(model) if _fits(layer)]
    for layer in found:
        layer.call = MethodType(_fused_call, layer)
    try:
        yield
    finally:
        for layer in found:
            del layer.call


def make_optimizer(spec: TrainSpec, *, loss_scaling: bool = False) -> keras.optimizers.Optimizer:
    """Return the optimizer of a spec; it keeps the moving average of the weights, if any.

    With `loss_scaling`, gradients are kept within float16's range, and a step whose gradients
    overflow is skipped.
    """
    own: dict[str, Any] = {"use_ema": True, "ema_momentum": spec.ema} if spec.ema else {}
    optimizer: keras.optimizers.Optimizer
    if spec.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(spec.learning_rate, momentum=_PAPER_MOMENTUM, **own)
    else:
        optimizer = keras.optimizers.AdamW(
            spec.learning_rate, weight_decay=spec.weight_decay, **own
        )
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def computes_in_float16(model: keras.Model) -> bool:
    """Return whether any layer of `model`, or of a model in it, computes in float16."""
    return any(
        computes_in_float16(layer)
        if isinstance(layer, keras.Model)
        else layer.compute_dtype == "float16"
        for layer in model.layers
    )


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


def _head(inner: Any, level: int, cut: tuple[int, ...], n_classes: int, *, sigmoid: bool) -> Any:
    name = f"supervision{level}"
    if any(cut):
        inner = layers.Cropping2D(cut, name=f"{name}_crop", dtype=inner.dtype)(inner)
    policy = "float32" if inner.dtype == "float32" else f"mixed_{inner.dtype}"
    logits = layers.Conv2D(n_classes, 1, name=f"{name}_logits", dtype=policy)(inner)
    end = (
        layers.Activation("sigmoid", name=name, dtype="float32")
        if sigmoid
        else layers.Softmax(name=name, dtype="float32")
    )
    return end(logits)


def _ends_in_sigmoid(model: keras.Model) -> bool:
    """Return whether each class is judged by itself; where unknown, classes exclude each other."""
    last = model.outputs[0]._keras_history.operation  # noqa: SLF001  (Keras has no other way)
    return getattr(last, "activation", None) is keras.activations.sigmoid


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return one strategy for the life of the process.

    A second one would number its collective ops from the same start as the first, whose ops
    TensorFlow then finds under those numbers.
    """
    return tf.distribute.MirroredStrategy(devices)


class SharedLoss(keras.losses.Loss):  # type: ignore[misc]
    """Scale a loss of each device's share of a batch, so that the sum over devices is a mean.

    Keras divides a loss of one value a pixel by the number of devices, but not a loss of one
    number a batch, such as Dice: gradients would grow with the devices.
    """

    def __init__(self, loss: keras.losses.Loss, devices: int) -> None:
        super().__init__(name=loss.name, reduction=loss.reduction)
        self._loss = loss
        self._devices = devices

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, divided where Keras does not."""
        values = self._loss.call(y_true, y_pred)
        return values if values.shape.rank else values / self._devices


def _normalizations(model: keras.Model) -> Iterator[layers.BatchNormalization]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _normalizations(layer)
        elif type(layer) is layers.BatchNormalization:
            yield layer


def _fits(layer: layers.BatchNormalization) -> bool:
    return bool(
        layer.axis in (-1, 3)
        and layer.input_spec.ndim == 4  # noqa: PLR2004  (images)
        and layer.scale
        and layer.center
        and layer.epsilon >= _SMALLEST_EPSILON
        and not layer.synchronized
        and not layer.renorm
    )


def _fused_call(
    self: layers.BatchNormalization,
    inputs: Any,
    training: bool | None = None,  # noqa: FBT001  (as Keras passes it)
    mask: Any = None,
) -> Any:
    """Compute what BatchNormalization.call does, for 4-D channels-last inputs."""
    if not (training and self.trainable) or mask is not None:
        return type(self).call(self, inputs, training=training, mask=mask)
    x = ops.cast(inputs, "float32")  # as Keras does: sums of halves overflow
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=ops.cast(self.gamma, "float32"),
        offset=ops.cast(self.beta, "float32"),
        mean=[],
        variance=[],
        epsilon=self.epsilon,
        is_training=True,
    )
    pixels = ops.cast(ops.size(x) / ops.shape(x)[-1], "float32")
    variance *= (pixels - 1) / pixels  # the kernel's estimates the population's
    for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
        moving.assign(moving * self.momentum + now * (1 - self.momentum))
    return ops.cast(outputs, self.compute_dtype)

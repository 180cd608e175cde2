"""The U-Net and its training: the only home of Keras training."""

from __future__ import annotations

from .evaluate import evaluate, size_multiple
from .losses import CrossEntropyDice
from .saved import load_model, read_model, save_model
from .spec import TrainSpec, UNetSpec
from .train import Epoch, TrainResult, train
from .unet import build_unet, build_unet_model

__all__ = [
    "CrossEntropyDice",
    "Epoch",
    "TrainResult",
    "TrainSpec",
    "UNetSpec",
    "build_unet",
    "build_unet_model",
    "evaluate",
    "load_model",
    "read_model",
    "save_model",
    "size_multiple",
    "train",
]

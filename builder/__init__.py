"""The U-Net and its training: the only home of Keras training."""

from __future__ import annotations

from unetrt.keras_models import in_full_precision, size_rule

from .evaluate import evaluate
from .history import Epoch
from .run_folder import RunFolder
from .saved import load_model, read_model, save_model
from .spec import UNetSpec
from .train import TrainResult, train
from .train_spec import Augmentation, LossName, TrainSpec
from .unet import build_unet, build_unet_model

__all__ = [
    "Augmentation",
    "Epoch",
    "LossName",
    "RunFolder",
    "TrainResult",
    "TrainSpec",
    "UNetSpec",
    "build_unet",
    "build_unet_model",
    "evaluate",
    "in_full_precision",
    "load_model",
    "read_model",
    "save_model",
    "size_rule",
    "train",
]

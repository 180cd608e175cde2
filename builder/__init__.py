"""Build the U-Net and train it; nothing else here trains a Keras model.

TensorFlow is imported with the first name that needs it. `train`, `fit`, `plan` and `evaluate` are
in modules of these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unetrt.lazy import lazy_names

if TYPE_CHECKING:
    from .history import Epoch, TrainResult
    from .plan import TrainingPlan
    from .run_folder import RunFolder
    from .spec import UNetSpec
    from .train_spec import Augmentation, LossName, TrainSpec
    from .unet import build_unet, build_unet_model
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Augmentation": "train_spec",
            "Epoch": "history",
            "LossName": "train_spec",
            "TrainingPlan": "plan",
            "RunFolder": "run_folder",
            "TrainResult": "history",
            "TrainSpec": "train_spec",
            "UNetSpec": "spec",
            "build_unet": "unet",
            "build_unet_model": "unet",
        },
    )

__all__ = [
    "Augmentation",
    "Epoch",
    "LossName",
    "RunFolder",
    "TrainResult",
    "TrainSpec",
    "TrainingPlan",
    "UNetSpec",
    "build_unet",
    "build_unet_model",
]

"""Train and predict with nnU-Net v2, in the environment that has it and not us.

    python nnunet_child.py RUN train MINUTES SEED
    python nnunet_child.py RUN predict IMAGES LABELS

RUN/raw holds the data as nnU-Net reads it, RUN/splits.json the cases to train on.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

__all__ = ["main"]

_DATASET = "Dataset001_task"
_CONFIGURATION = "2d"
_WORKERS = 2


def main(words: list[str]) -> None:
    """Do what the words say."""
    run = Path(words[0]).resolve()
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(run / name)
    # Compiling takes longer than the minutes that are given.
    os.environ["nnUNet_compile"] = "f"  # noqa: SIM112  (its name)
    os.environ.setdefault("nnUNet_n_proc_DA", "1")
    if words[1] == "train":
        _train(run, minutes=float(words[2]), seed=int(words[3]))
    else:
        _predict(run, Path(words[2]), Path(words[3]))


def _train(run: Path, *, minutes: float, seed: int) -> None:
    import numpy as np
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    began = time.monotonic()
    extract_fingerprints([1], num_processes=_WORKERS, check_dataset_integrity=False)
    plans_name = plan_experiments([1])
    preprocess([1], plans_name, configurations=(_CONFIGURATION,), num_processes=(_WORKERS,))
    prepared_s = time.monotonic() - began
    preprocessed = run / "preprocessed" / _DATASET
    shutil.copy(run / "splits.json", preprocessed / "splits_final.json")
    plans = json.loads((preprocessed / f"{plans_name}.json").read_text(encoding="utf-8"))
    dataset = json.loads((preprocessed / "dataset.json").read_text(encoding="utf-8"))

    np.random.seed(seed)  # noqa: NPY002  (batchgenerators draws from it)
    torch.manual_seed(seed)
    torch.set_num_threads(os.cpu_count() or 1)
    plans["continue_training"] = False
    trainer = nnUNetTrainer(plans, _CONFIGURATION, 0, dataset, device=torch.device("cpu"))
    trainer.on_train_start()
    trainer.network.train()
    steps, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        trainer.lr_scheduler.step(share * trainer.num_epochs)
        trainer.train_step(next(trainer.dataloader_train))
        steps += 1
    trainer.current_epoch = 1  # it saves the number of the one before
    trainer.on_train_end()
    configuration = plans["configurations"][_CONFIGURATION]
    found = {
        "steps": steps,
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "crop": configuration["patch_size"],
        "batch": configuration["batch_size"],
        "prepared_s": prepared_s,
    }
    (run / "trained.json").write_text(json.dumps(found), encoding="utf-8")


def _predict(run: Path, images: Path, labels: Path) -> None:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(os.cpu_count() or 1)
    predictor = nnUNetPredictor(
        device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
    )
    (model,) = (run / "results" / _DATASET).iterdir()
    predictor.initialize_from_trained_model_folder(str(model), (0,), "checkpoint_final.pth")
    labels.mkdir(parents=True, exist_ok=True)
    predictor.predict_from_files_sequential(str(images), str(labels))


if __name__ == "__main__":
    main(sys.argv[1:])

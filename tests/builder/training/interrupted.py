"""A small training with everything that has state, for a child process to be killed in."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.data import load_dataset

EPOCHS = 4


def go(
    folder: Path,
    run: Path | None,
    *,
    resume: bool = False,
    filters: tuple[int, ...] = (4, 8),
    dropout: float = 0.2,
    on_step: Callable[[str], None] = lambda _line: None,
    **changes: Any,
) -> Any:
    """Train on a folder of discs; return the result."""
    vendor.keras().utils.set_random_seed(5)
    from unetrt.builder import TrainSpec, UNetSpec, build_unet
    from unetrt.builder.fit import fit

    network = UNetSpec(
        shape=(None, None, 1),
        n_classes=2,
        filters=filters,
        bottleneck=8,
        normalization="batch",
        dropout=dropout,
        pixel_mean=100,
        pixel_std=50,
    )
    own = {"epochs": EPOCHS, "crop": 32, "batch": 4, "ema": 0.9, "learning_rate": 0.01, "seed": 5}
    spec = TrainSpec(**(own | changes))
    data = load_dataset(str(folder))
    return fit(build_unet(network), data, spec, run=run, resume=resume, on_step=on_step)


if __name__ == "__main__":
    go(Path(sys.argv[1]), Path(sys.argv[2]), resume="resume" in sys.argv)

"""A small training with everything that has state, for a child process to be killed in.

    python interrupted.py DATA RUN begin|resume STEP

kills itself, as `kill -9` would, when it has taken so many steps since it was started.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.data import load_dataset

EPOCHS = 3
STEPS = 50
"""Of an epoch of so few images."""


def go(
    folder: Path,
    run: Path | None,
    *,
    resume: bool = False,
    filters: tuple[int, ...] = (4,),
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


def at_step(step: int, happens: Callable[[], None]) -> Callable[[str], None]:
    """Return an `on_step` that lets something happen at the training's step of that number."""
    left = step

    def on_step(line: str) -> None:
        nonlocal left
        left -= line.startswith("epoch")
        if left == 0:
            happens()

    return on_step


def main(data: str, run: str, how: str, step: str) -> None:
    """Train until that step."""
    kill = at_step(int(step), lambda: os.kill(os.getpid(), signal.SIGKILL))
    go(Path(data), Path(run), resume=how == "resume", on_step=kill)


if __name__ == "__main__":
    main(*sys.argv[1:])

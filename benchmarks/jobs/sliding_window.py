"""One large image through MONAI's SlidingWindowInferer, over our ONNX Runtime session.

    python -m unetrt.benchmarks.jobs.sliding_window MODEL --side 4096 --out FOLDER

Needs the extras `peers` and `cpu`. What is not said is left at MONAI's defaults.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai import __version__ as monai_version
from monai.inferers import SlidingWindowInferer

from unetrt.runtime import Session, SessionSpec, open_session

from .memory import peak_rss_bytes, rss_bytes, start_peak
from .tiles import picture

__all__ = ["main", "run"]


class _Predictor:
    """Our session as MONAI calls a network; counts the pixels it sees."""

    def __init__(self, session: Session) -> None:
        self._segmenter = session.segmenter("probabilities")
        self.pixels = 0

    def __call__(self, x_nchw: torch.Tensor) -> torch.Tensor:
        x = x_nchw.permute(0, 2, 3, 1).numpy()
        self.pixels += x.shape[0] * x.shape[1] * x.shape[2]
        return torch.from_numpy(self._segmenter.probabilities_of(x)).permute(0, 3, 1, 2)


def run(session: Session, side: int, options: dict[str, Any], out: Path) -> dict[str, Any]:
    """Segment a picture; write its probabilities for whoever compares them."""
    infer = SlidingWindowInferer(**options)
    x = torch.from_numpy(picture(side).transpose(2, 0, 1)[np.newaxis].astype(np.float32))
    roi = options["roi_size"]
    infer(x[:, :, :roi, :roi], _Predictor(session))  # warms up at the size of the tiles
    predictor = _Predictor(session)
    before = rss_bytes()
    start_peak()
    began = time.perf_counter()
    answer = infer(x, predictor)
    seconds = time.perf_counter() - began
    peak = peak_rss_bytes()
    np.save(out / "answer.npy", answer[0].permute(1, 2, 0).numpy())
    return {
        "monai": monai_version,
        "tile": [infer.roi_size] * 2,
        "overlap": infer.overlap,
        "mode": str(infer.mode),
        "pixels_seen_per_pixel": predictor.pixels / side**2,
        "seconds": seconds,
        "rss_before_bytes": before,
        "peak_rss_bytes": peak,
    }


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--overlap", type=float)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    options = {"roi_size": given.tile}
    if given.overlap is not None:
        options["overlap"] = given.overlap
    with open_session(given.model, SessionSpec(backend="onnxruntime")) as session:
        found = run(session, given.side, options, given.out)
    (given.out / "result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()

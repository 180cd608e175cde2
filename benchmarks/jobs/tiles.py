"""One large image through a network, whole or in tiles, in a process of its own.

python -m unetrt.benchmarks.jobs.tiles whole MODEL --side 4096 --out FOLDER
python -m unetrt.benchmarks.jobs.tiles square MODEL --side 4096 --tile 1024 --out FOLDER
python -m unetrt.benchmarks.jobs.tiles chosen MODEL --side 4096 --gib 1 --out FOLDER
python -m unetrt.benchmarks.jobs.tiles file MODEL --side 20000 --gib 0.5 --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt.data.reading import ImageFile, open_image_file
from unetrt.data.writing import LabelFile
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.segmenter import Segmenter, joined, tiled_rows
from unetrt.runtime.tiling import Tiling, spans

from .memory import peak_rss_bytes, rss_bytes, start_peak

__all__ = ["main"]

_EVERYTHING = 1 << 50


def picture(side: int, top: int = 0, rows: int | None = None) -> NDArray[np.uint8]:
    """Return rows of a picture with detail at every scale, the same for all jobs."""
    y, x = np.arange(top, top + (rows or side))[:, np.newaxis], np.arange(side)[np.newaxis]
    waves = sum(np.sin(y / scale) * np.cos(x / (scale * 1.3)) for scale in (3.0, 17.0, 90.0, 700.0))
    return np.clip(127 + 30 * waves, 0, 255).astype(np.uint8)[:, :, np.newaxis]


def _square(segmenter: Segmenter, side: int, tile: int) -> Tiling:
    """Return tiles of the side that was asked for, whatever would be chosen."""
    artifact = segmenter.artifact
    sizes, field = artifact.sizes, artifact.receptive_field
    rows, columns = (
        spans(
            sizes.covering(side), sizes.at_least(tile), sizes,
            before=field.before[axis], after=field.after[axis],
        )
        for axis in (0, 1)
    )  # fmt: skip
    return Tiling((sizes.at_least(tile),) * 2, rows, columns)


def in_memory(
    what: str, model: Path, side: int, tile: int, gib: float, out: Path
) -> dict[str, Any]:
    """Segment a picture; write its probabilities for whoever compares them."""
    image = picture(side)
    memory = int(gib * 2**30) if what == "chosen" else _EVERYTHING
    with open_session(model, SessionSpec(backend="onnxruntime", memory_bytes=memory)) as session:
        segmenter = session.segmenter("probabilities")
        tiling = (
            _square(segmenter, side, tile) if what == "square" else segmenter.tiling(side, side)
        )
        first = tiled_rows(
            picture(tiling.tile[0]), Tiling(tiling.tile, tiling.rows[:1], tiling.columns[:1]),
            segmenter.artifact.sizes.margin, segmenter.probabilities_of,
        )  # fmt: skip
        list(first)  # warms up at the size of the tiles
        before = rss_bytes()
        start_peak()
        began = time.perf_counter()
        rows = tiled_rows(
            image, tiling, segmenter.artifact.sizes.margin, segmenter.probabilities_of
        )
        answer = joined(rows, side)
        seconds = time.perf_counter() - began
        peak = peak_rss_bytes()
    np.save(out / "answer.npy", answer)
    return {
        "tile": list(tiling.tile),
        "tiles": tiling.count,
        "pixels_seen_per_pixel": tiling.pixels / side**2,
        "seconds": seconds,
        "rss_before_bytes": before,
        "peak_rss_bytes": peak,
    }


def from_file(model: Path, side: int, gib: float, out: Path) -> dict[str, Any]:
    """Segment a grey TIFF too large to hold into a label Zarr, as `unetrt predict` does."""
    path = out / "large.tif"
    mapped = tifffile.memmap(path, shape=(side, side), dtype=np.uint8, photometric="minisblack")
    for top in range(0, side, 500):
        mapped[top : top + 500] = picture(side, top, min(500, side - top))[:, :, 0]
    del mapped
    start_peak()
    image = open_image_file(path)
    assert isinstance(image, ImageFile)  # noqa: S101
    began = time.perf_counter()
    spec = SessionSpec(backend="onnxruntime", memory_bytes=int(gib * 2**30))
    with open_session(model, spec) as session:
        labels = LabelFile(out / "labels.zarr", side, side, made_from={})
        tiling = session.segmenter().tiling(side, side)
        for _, rows in session.segmenter().labels(image):
            labels.append(rows)
        labels.finish()
    return {
        "tile": list(tiling.tile),
        "tiles": tiling.count,
        "pixels_seen_per_pixel": tiling.pixels / side**2,
        "seconds": time.perf_counter() - began,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("whole", "square", "chosen", "file"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--gib", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = (
        from_file(given.model, given.side, given.gib, given.out)
        if given.what == "file"
        else in_memory(given.what, given.model, given.side, given.tile, given.gib, given.out)
    )
    (given.out / "result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Compare an image in tiles with the whole: seams, pixels seen twice, time and memory.

    python -m unetrt.benchmarks.promises.tiling demo-out/model.fp32.onnx --out FILE

The model is that of `make demo`; `--monai-python` is the interpreter of MONAI's environment:

    python -m venv peers
    peers/bin/pip install -c constraints/cpu.txt -c constraints/peers.txt -e '.[cpu,peers]'

Each measurement has a process of its own. Needs the extras `cpu` and `zarr`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.data.reading import ImageFile, open_image_file
from unetrt.data.writing import LabelFile
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.segmenter import Segmenter, joined, tiled_rows
from unetrt.runtime.tiling import Tiling, spans

from .memory import peak_rss_bytes, rss_bytes, start_peak
from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = [
    "judge",
    "main",
    "measure_tiling",
    "needed_overlap",
    "segment_by_monai",
    "segment_file",
    "segment_in_memory",
]

_SEAM = 1e-5
_MEMORY = 1.5 * 2**30
_ROWS = 256
_MONAI = {"monai": "by default", "monai_exact": "with the overlap that our tiles have"}


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--large", type=int, default=20_000)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--monai-python", type=Path, default=Path(sys.executable))
    given = parser.parse_args()
    measured = measure_tiling(
        given.model,
        side=given.side,
        tile=given.tile,
        large=given.large,
        gib=given.gib,
        monai_python=given.monai_python,
    )
    return report(judge(measured), measured, given.out)


def measure_tiling(
    path: Path, *, side: int, tile: int, large: int, gib: float, monai_python: Path
) -> dict[str, Any]:
    """Run all children; return their raw results, and by how much tiles differ from the whole.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    measured: dict[str, Any] = {"side": side, "large": large, "gib": gib}
    with tempfile.TemporaryDirectory() as folder:
        whole, tiled = Path(folder, "whole.npy"), Path(folder, "tiled.npy")
        ours = partial(segment_in_memory, model=str(path), side=side)
        measured["whole"] = run_in_child(partial(ours, output=str(whole)))

        def run(name: str, call: partial[Any], python: Path | None = None) -> None:
            found = run_in_child(partial(call, output=str(tiled)), python=python)
            measured[name] = found | largest_differences(tiled, whole)

        run("square", partial(ours, tile=tile))
        run("chosen", partial(ours, gib=gib))
        if _has_monai(monai_python):
            monai = partial(segment_by_monai, model=str(path), side=side, tile=tile)
            run("monai", monai, monai_python)
            overlap = needed_overlap(OnnxModel.load(path), tile)
            if overlap is not None:
                run("monai_exact", partial(monai, overlap=overlap), monai_python)
    measured["file"] = run_in_child(partial(segment_file, model=str(path), side=large, gib=gib / 2))
    return measured


def needed_overlap(model: OnnxModel, tile: int) -> float | None:
    """Return the share of a tile by which MONAI's must overlap to be as far apart as ours are.

    Then each pixel has its whole receptive field in some tile, and all tiles begin where the
    network's strides do. None where no tile of that side is that large.
    """
    field, multiple = model.receptive_field, model.sizes.multiple
    looks = max(before + after for before, after in zip(field.before, field.after, strict=True))
    step = (tile - looks) // multiple * multiple
    if step < 1 or not field.is_bounded:
        return None
    return 1 - (step + 0.5) / tile  # MONAI's step is what is left of the tile, rounded down


def _has_monai(python: Path) -> bool:
    command = [str(python), "-c", "import monai.inferers, torch"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def largest_differences(tiled: Path, whole: Path) -> dict[str, Any]:
    """Return the largest difference of a probability, and how many labels differ."""
    one, other = np.load(tiled, mmap_mode="r"), np.load(whole, mmap_mode="r")
    largest, labels = 0.0, 0
    for top in range(0, len(one), _ROWS):
        a, b = one[top : top + _ROWS], other[top : top + _ROWS]
        largest = np.maximum(largest, np.abs(a - b).max())  # NaN stays
        labels += int(np.count_nonzero(a.argmax(-1) != b.argmax(-1)))
    return {"largest_difference": float(largest), "labels_that_differ": labels}


def segment_in_memory(
    *, model: str, side: int, output: str, tile: int | None = None, gib: float | None = None
) -> dict[str, Any]:
    """Segment a picture in a child: whole, in tiles of a side, or as chosen for a memory limit.

    The probabilities are written to `output`.
    """
    memory = 1 << 50 if gib is None else int(gib * 2**30)
    spec = SessionSpec(backend="onnxruntime", memory_bytes=memory)
    with open_session(Path(model), spec) as session:
        segmenter = session.segmenter("probabilities")
        tiling = segmenter.tiling(side, side) if tile is None else _square(segmenter, side, tile)
        margin, predict = segmenter.artifact.sizes.margin, segmenter.probabilities_of
        first = Tiling(tiling.tile, tiling.rows[:1], tiling.columns[:1])
        list(tiled_rows(_picture(tiling.tile[0]), first, margin, predict))  # warms up at its size
        image = _picture(side)
        before = rss_bytes()
        start_peak()
        began = time.perf_counter()
        probabilities = joined(tiled_rows(image, tiling, margin, predict), side)
        seconds = time.perf_counter() - began
        peak = peak_rss_bytes()
    np.save(output, probabilities)
    return {
        **_facts(tiling, side),
        "seconds": seconds,
        "rss_before_bytes": before,
        "peak_rss_bytes": peak,
    }


def segment_file(*, model: str, side: int, gib: float) -> dict[str, Any]:
    """Segment a grey TIFF too large to hold into a label Zarr, in a child, as `predict` does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.tif")
        mapped = tifffile.memmap(path, shape=(side, side), dtype=np.uint8, photometric="minisblack")
        for top in range(0, side, 500):
            mapped[top : top + 500] = _picture(side, top, min(500, side - top))[:, :, 0]
        del mapped
        start_peak()
        image = open_image_file(path)
        assert isinstance(image, ImageFile)  # noqa: S101
        began = time.perf_counter()
        spec = SessionSpec(backend="onnxruntime", memory_bytes=int(gib * 2**30))
        with open_session(Path(model), spec) as session:
            labels = LabelFile(Path(folder, "labels.zarr"), side, side, made_from={})
            tiling = session.segmenter().tiling(side, side)
            for _, rows in session.segmenter().labels(image):
                labels.append(rows)
            labels.finish()
        seconds = time.perf_counter() - began
    return {**_facts(tiling, side), "seconds": seconds, "peak_rss_bytes": peak_rss_bytes()}


def segment_by_monai(
    *, model: str, side: int, tile: int, output: str, overlap: float | None = None
) -> dict[str, Any]:
    """Segment a picture in a child, by MONAI's SlidingWindowInferer over our ONNX Runtime session.

    What is not said is left at MONAI's defaults. The probabilities are written to `output`.
    """
    import torch
    from monai import __version__ as monai_version
    from monai.inferers import SlidingWindowInferer

    infer = SlidingWindowInferer(tile, **({} if overlap is None else {"overlap": overlap}))
    x_nchw = torch.from_numpy(_picture(side).transpose(2, 0, 1)[np.newaxis].astype(np.float32))
    seen = 0
    with open_session(Path(model), SessionSpec(backend="onnxruntime")) as session:
        predict = session.segmenter("probabilities").probabilities_of

        def counted(tiles_nchw: Any) -> Any:
            nonlocal seen
            tiles = tiles_nchw.permute(0, 2, 3, 1).numpy()
            seen += tiles.shape[0] * tiles.shape[1] * tiles.shape[2]
            return torch.from_numpy(predict(tiles)).permute(0, 3, 1, 2)

        infer(x_nchw[:, :, :tile, :tile], counted)  # warms up at the size of the tiles
        seen = 0
        before = rss_bytes()
        start_peak()
        began = time.perf_counter()
        probabilities = infer(x_nchw, counted)
        seconds = time.perf_counter() - began
        peak = peak_rss_bytes()
    np.save(output, probabilities[0].permute(1, 2, 0).numpy())
    return {
        "monai": monai_version,
        "tile": [infer.roi_size] * 2,
        "overlap": infer.overlap,
        "mode": str(infer.mode),
        "pixels_seen_per_pixel": seen / side**2,
        "seconds": seconds,
        "rss_before_bytes": before,
        "peak_rss_bytes": peak,
    }


def _picture(side: int, top: int = 0, rows: int | None = None) -> NDArray[np.uint8]:
    """Return rows of a picture with detail at every scale, the same for all children."""
    y, x = np.arange(top, top + (rows or side))[:, np.newaxis], np.arange(side)[np.newaxis]
    waves = sum(np.sin(y / scale) * np.cos(x / (scale * 1.3)) for scale in (3.0, 17.0, 90.0, 700.0))
    return np.clip(127 + 30 * waves, 0, 255).astype(np.uint8)[:, :, np.newaxis]


def _square(segmenter: Segmenter, side: int, tile: int) -> Tiling:
    """Return tiles of the side that was asked for, whatever would be chosen."""
    sizes, field = segmenter.artifact.sizes, segmenter.artifact.receptive_field
    covered, tile = sizes.covering(side), sizes.at_least(tile)
    rows, columns = (
        spans(covered, tile, sizes, before=field.before[axis], after=field.after[axis])
        for axis in (0, 1)
    )
    return Tiling((tile, tile), rows, columns)


def _facts(tiling: Tiling, side: int) -> dict[str, Any]:
    return {
        "tile": list(tiling.tile),
        "tiles": tiling.count,
        "pixels_seen_per_pixel": tiling.pixels / side**2,
    }


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises; MONAI's beside ours, which are not."""
    side, verdicts = measured["side"], []
    for what in ("square", "chosen"):
        found = measured[what]
        tall, wide = found["tile"]
        verdicts.append(
            Verdict(
                f"{side} x {side} in tiles of {tall} x {wide} gives what the whole gives, to "
                f"{_SEAM:g}",
                _told(found, measured["whole"]),
                found["largest_difference"] < _SEAM,
            )
        )
    for what, options in _MONAI.items():
        name = f"{side} x {side} by MONAI's SlidingWindowInferer {options}"
        if what not in measured:
            missing = "no such overlap" if "monai" in measured else "MONAI is not installed"
            verdicts.append(Verdict(name, f"not measured: {missing}", None))
            continue
        found = measured[what]
        name += (
            f", tiles of {found['tile'][0]} x {found['tile'][1]}, overlap {found['overlap']:.3f}"
        )
        verdicts.append(Verdict(name, _told(found, measured["whole"]), None))
    large = measured["file"]
    verdicts.append(
        Verdict(
            f"{measured['large']} x {measured['large']} TIFF to label Zarr: at most "
            f"{_MEMORY / 2**30:g} GiB",
            f"{large['peak_rss_bytes'] / 2**30:.2f} GiB, {large['seconds']:.0f} s, "
            f"{large['tiles']} tiles of {large['tile'][0]} x {large['tile'][1]}",
            large["peak_rss_bytes"] <= _MEMORY,
        )
    )
    return verdicts


def _told(found: dict[str, Any], whole: dict[str, Any]) -> str:
    return (
        f"{found['largest_difference']:.1e}, {found['labels_that_differ']} labels differ; "
        f"{found['pixels_seen_per_pixel']:.2f} pixels seen a pixel, "
        f"{found['seconds'] / whole['seconds']:.2f} times the time of the whole "
        f"({found['seconds']:.1f} s), peak {found['peak_rss_bytes'] / 2**30:.2f} against "
        f"{whole['peak_rss_bytes'] / 2**30:.2f} GiB"
    )


if __name__ == "__main__":
    sys.exit(run_script(main))

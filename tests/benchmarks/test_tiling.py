import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.benchmarks.tiling import judge, measure_tiling, needed_overlap
from unetrt.sizes import ReceptiveField, SizeRule

GIB = 2**30


def results(*, seam=1e-7, gib=1.0, monai=True):
    def done(difference, seen=1.2):
        return {
            "tile": [1024, 1024],
            "tiles": 4,
            "seconds": 9.0,
            "peak_rss_bytes": int(gib * GIB),
            "largest_difference": difference,
            "labels_that_differ": 0,
            "pixels_seen_per_pixel": seen,
        }

    peers = {"monai": done(0.2) | {"overlap": 0.25}, "monai_exact": done(0.1) | {"overlap": 0.4}}
    return {
        "side": 4096,
        "large": 20_000,
        "whole": {"seconds": 6.0, "peak_rss_bytes": 9 * GIB},
        "square": done(seam),
        "chosen": done(1e-7),
        "file": done(0.0),
    } | (peers if monai else {})


def test_ours_are_held_to_the_promise_and_monai_s_stand_beside_them():
    verdicts = judge(results())
    assert [verdict.kept for verdict in verdicts] == [True, True, None, None, True]
    assert verdicts[0].measured.startswith("1.0e-07, 0 labels differ; 1.20 pixels seen a pixel")
    assert "by default, tiles of 1024 x 1024, overlap 0.250" in verdicts[2].promise


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (results(seam=1e-5), [False, True, None, None, True]),
        (results(seam=float("nan")), [False, True, None, None, True]),
        (results(gib=1.6), [True, True, None, None, False]),
    ],
)
def test_a_missed_figure_is_said(measured, kept):
    assert [verdict.kept for verdict in judge(measured)] == kept


def test_monai_that_is_not_there_is_seen():
    verdicts = judge(results(monai=False))
    assert [verdict.kept for verdict in verdicts] == [True, True, None, None, True]
    assert verdicts[2].measured == "not measured: MONAI is not installed"


def network(before, after, multiple):
    field = ReceptiveField((before, before), (after, after), (multiple, multiple))
    return SimpleNamespace(receptive_field=field, sizes=SizeRule(multiple))


@given(
    before=st.integers(0, 300),
    after=st.integers(0, 300),
    multiple=st.sampled_from([1, 2, 8, 32]),
    tile=st.integers(1, 60),
)
def test_the_overlap_reaches_as_far_as_the_network_looks(before, after, multiple, tile):
    tile *= multiple
    overlap = needed_overlap(network(before, after, multiple), tile)
    if overlap is None:
        assert tile - before - after < multiple
        return
    step = int(tile * (1 - overlap))  # as MONAI rounds it
    assert step % multiple == 0
    assert 0 < step <= tile - before - after < step + multiple


@pytest.mark.tf
@pytest.mark.slow
def test_a_small_network_is_tiled_in_every_way(road):
    pytest.importorskip("zarr")
    measured = measure_tiling(
        road / "model.fp32.onnx",
        side=160,
        tile=96,
        large=300,
        gib=0.01,
        monai_python=Path(sys.executable),
    )
    verdicts = judge(measured)
    assert len(verdicts) == 5
    assert [verdict for verdict in verdicts if verdict.kept is False] == []
    assert measured["square"]["tiles"] == 9

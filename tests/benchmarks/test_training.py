import pytest

from unetrt.benchmarks.training import judge, measure_training
from unetrt.errors import CheckFailed

GIB = 2**30


def results(cached=(1.0, 1.1, 1.2), augmented=(1.1, 1.2, 1.3), peak=6.0):
    return {
        "input": {
            "steps": 10,
            "seconds": {"cached": list(cached), "augmented": list(augmented)},
            "draw_seconds": 0.02,
        },
        "memory": {
            "parameters": 34_585_794,
            "batch": 8,
            "crop": 256,
            "peak_rss_bytes": int(peak * GIB),
        },
    }


def test_the_ratio_is_the_median_of_blocks_that_ran_side_by_side():
    throughput, memory = judge(results(cached=(1.0, 2.0, 9.0), augmented=(1.0, 2.5, 10.0)))
    assert throughput.measured.startswith("0.900 (250 ms a step")
    assert throughput.kept
    assert memory.measured == "6.00 GiB"
    assert memory.kept


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (results(augmented=(1.3, 1.4, 1.5)), [False, True]),
        (results(peak=8.0), [True, False]),
    ],
)
def test_a_missed_figure_is_said(measured, kept):
    assert [verdict.kept for verdict in judge(measured)] == kept


@pytest.mark.tf
@pytest.mark.slow
def test_both_jobs_measure_a_small_training(disc_folder):
    pytest.importorskip("tensorflow")
    measured = measure_training(
        options={
            "input": ("--data", str(disc_folder), "--steps", "2", "--blocks", "2"),
            "memory": ("--filters", "4", "8", "--crop", "32"),
        }
    )
    assert len(measured["input"]["seconds"]["augmented"]) == 2
    assert measured["memory"]["peak_rss_bytes"] > measured["memory"]["rss_before_bytes"] > 0
    assert measured["memory"]["epochs"] == 1


def test_a_job_that_fails_says_why(tmp_path):
    with pytest.raises(CheckFailed, match="The job training input failed"):
        measure_training(options={"input": ("--data", str(tmp_path / "nowhere"))}, timeout_s=120)

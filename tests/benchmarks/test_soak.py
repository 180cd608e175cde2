import pytest

from unetrt.benchmarks.soak import judge, measure_soak

MIB = 2**20


def results(*, grown=1 * MIB, descriptors=9, threads=4, opened=1 * MIB, different=0, runs=1000):
    before = {"rss_bytes": 100 * MIB, "descriptors": 9, "threads": 4}

    def done(after):
        return {"first": 10, "count": 100, "before": before, "after": before | after}

    run = {"rss_bytes": 100 * MIB + grown, "descriptors": descriptors, "threads": threads}
    return {
        "openvino": {
            "runs": done(run),
            "openings": done({"rss_bytes": 100 * MIB + opened}),
            "threads": {"threads": 8, "runs": runs, "different": different},
        }
    }


def test_what_stays_is_told():
    run, opened, threads = judge(results())
    assert run.measured == "+1.0 MiB of 100, descriptors 9 and 9, threads 4 and 4"
    assert (run.kept, opened.kept, threads.kept) == (True, True, True)


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (results(grown=8 * MIB), [False, True, True]),
        (results(descriptors=10), [False, True, True]),
        (results(threads=5), [False, True, True]),
        (results(opened=9 * MIB), [True, False, True]),
        (results(different=1), [True, True, False]),
        (results(runs=0), [True, True, False]),
        (results(grown=-20 * MIB, descriptors=8), [True, True, True]),
    ],
)
def test_what_is_kept_or_differs_is_a_miss(measured, kept):
    assert [verdict.kept for verdict in judge(measured)] == kept


@pytest.mark.tf
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_few_hundred_runs_keep_every_promise(road, backend):
    pytest.importorskip(backend)
    model = road / "model.fp32.onnx"
    measured = measure_soak(model, runs=500, openings=20, backends=(backend,))
    verdicts = judge(measured)
    assert len(verdicts) == 3
    assert [verdict for verdict in verdicts if not verdict.kept] == []

import pytest

from unetrt.benchmarks.overhead import judge, measure_overhead
from unetrt.errors import CheckFailed


def results(session=1.02, again=1.0):
    bare = [10_000_000, 10_000_000, 90_000_000]
    ns = {
        "bare": bare,
        "bare again": [int(again * one) for one in bare],
        "session": [int(session * one) for one in bare],
    }
    return {"article": {"onnxruntime": {"shape": [1, 256, 256, 1], "latency_ns": ns}}}


def test_medians_are_compared_and_two_bare_ones_shown():
    (verdict,) = judge(results(again=1.001))
    assert verdict.kept
    assert "article, onnxruntime, 1 x 256 x 256 x 1" in verdict.promise
    assert verdict.measured.startswith("1.019 times 10.01 ms")
    assert "one bare session against another 1.001; 3 calls each" in verdict.measured


def test_a_slow_session_is_a_miss():
    assert [v.kept for v in judge(results(session=1.04))] == [False]


@pytest.mark.tf
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_small_network_is_timed_in_its_own_process(road, backend):
    pytest.importorskip(backend)
    models = {"small": road / "model.fp32.onnx"}
    measured = measure_overhead(models, side=16, samples=7, backends=(backend,))
    found = measured["small"][backend]
    assert found["session"]["backend"] == backend
    assert found["shape"] == [1, 16, 16, 1]
    assert {len(ns) for ns in found["latency_ns"].values()} == {7}
    assert len(judge(measured)) == 1


def test_a_model_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CheckFailed, match="The job overhead .* failed: got .*nowhere"):
        measure_overhead({"a": tmp_path / "nowhere.onnx"}, side=16, samples=1)

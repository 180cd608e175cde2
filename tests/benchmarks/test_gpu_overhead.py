import numpy as np
import pytest

from unetrt.benchmarks import gpu_overhead
from unetrt.benchmarks.gpu_overhead import judge, measure_stages
from unetrt.benchmarks.random_image import random_image
from unetrt.errors import NoDevice
from unetrt.gpu import find_gpu
from unetrt.runtime import SessionSpec, open_session


def results(run_us=210, enqueue_us=20):
    us = {"host": 205, "enqueue": enqueue_us, "copy_in": 20, "compute": 170, "copy_out": 10}
    stages = {f"{name}_ns": 1000 * taken for name, taken in us.items()}
    return {
        "shape": [1, 512, 512, 1],
        "run_ns": [1000 * run_us] * 2 + [10**9],
        "stages": [stages] * 3,
    }


def test_a_run_is_held_against_its_stages():
    run, host = judge(results())
    assert run.measured == "1.050 times (210 us against 200: copy in 20, compute 170, copy out 10)"
    assert host.measured == "20.0 us"
    assert run.kept
    assert host.kept


@pytest.mark.parametrize(
    ("measured", "kept"),
    [(results(run_us=221), [False, True]), (results(enqueue_us=50), [True, False])],
)
def test_a_missed_figure_is_said(measured, kept):
    assert [verdict.kept for verdict in judge(measured)] == kept


@pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU")
def test_without_a_gpu_it_says_what_it_needs(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.json"
    monkeypatch.setattr("sys.argv", ["gpu_overhead", "model.engine", "--out", str(out)])
    assert gpu_overhead.main() == 2
    assert capsys.readouterr().err == "Timing model.engine needs an NVIDIA GPU: got none.\n"
    assert not out.exists()


def test_runs_and_their_stages_are_timed_in_turn(capturing):
    x = np.zeros((1, 8, 8, 1), np.float32)
    with open_session(capturing.engine()) as session:
        measured = measure_stages(session, x, turns=2)
    assert measured["shape"] == [1, 8, 8, 1]
    assert len(measured["run_ns"]) == len(measured["stages"]) == 20
    assert min(stages["host_ns"] for stages in measured["stages"]) > 0
    assert judge(measured)
    assert capturing.device.held == {}


@pytest.mark.tf
def test_on_a_cpu_there_are_no_stages(road):
    with open_session(road / "model.fp32.onnx", SessionSpec(backend="onnxruntime")) as session:
        x = random_image(session.artifact, 16)
        with pytest.raises(NoDevice, match="no GPU's events can time it"):
            measure_stages(session, x, turns=2)

"""On a device of the tests: no machine of ours has a GPU to try this on."""

import numpy as np

from unetrt.benchmarks.promises.gpu_overhead import judge, measure_stages
from unetrt.runtime import open_session


def test_runs_and_their_stages_are_timed_in_turn(capturing):
    x = np.zeros((1, 8, 8, 1), np.float32)
    with open_session(capturing.engine()) as session:
        measured = measure_stages(session, x, turns=2)
    assert measured["shape"] == [1, 8, 8, 1]
    assert len(measured["run_ns"]) == len(measured["stages"]) == 20
    assert min(stages["host_ns"] for stages in measured["stages"]) > 0
    assert len(judge(measured)) == 2
    assert capturing.device.held == {}

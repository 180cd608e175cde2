"""The memory that a session may work in is what it works in: measured, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unetrt.benchmarks.networks.skeletons import fill_skeleton

CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from unetrt.benchmarks.promises.memory import peak_rss_bytes, rss_bytes, start_peak
from unetrt.runtime import SessionSpec, open_session

model, backend, allowed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
image = np.random.default_rng(0).integers(0, 256, (1500, 1700, 1)).astype(np.uint8)
spec = SessionSpec(backend=backend, memory_bytes=allowed)
with open_session(model, spec) as session:
    session.segment(image[:64, :64])
    before = rss_bytes()
    start_peak()
    tiles = session.segmenter().tiling(1500, 1700).count
    session.segment(image)
    print(json.dumps({"tiles": tiles, "grown": peak_rss_bytes() - before}))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's proc")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_cap_on_memory_is_kept(tmp_path, backend):
    model = fill_skeleton("small", tmp_path / "model.onnx")
    allowed = 200 * 2**20
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(model.path), backend, str(allowed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["tiles"] > 1
    assert allowed / 4 < found["grown"] < allowed

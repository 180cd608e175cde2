"""What is imported by way of unetrt.vendor is set up before it loads."""

import json
import os
import subprocess
import sys

import onnxruntime
import pytest

from tests.benchmarks.tiny_unet import tiny_unet
from unetrt import vendor

TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")

# Prints the variables as they are when ONNX Runtime's import begins.
CHILD = f"""
import importlib.abc, json, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime":
            print(json.dumps([os.environ.get(one) for one in {TELEMETRY}]))

sys.meta_path.insert(0, Watch())
import numpy as np
from unetrt.runtime import SessionSpec, open_session

with open_session(sys.argv[1], SessionSpec(backend="onnxruntime")) as session:
    session.segment(np.zeros((32, 32, 1), np.uint8))
"""


def test_a_session_on_onnx_runtime_leaves_nothing_in_the_user_s_folders(tmp_path):
    """ONNX Runtime 1.32 by itself leaves a device id and a queue of events in the cache folder."""
    model = tiny_unet(tmp_path / "model.onnx", free=True)
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in TELEMETRY}
    environment |= {
        name: str(home / folder)
        for name, folder in {
            "HOME": "",
            "XDG_CACHE_HOME": "cache",
            "XDG_CONFIG_HOME": "config",
            "XDG_DATA_HOME": "data",
            "XDG_STATE_HOME": "state",
            "TMPDIR": "",
        }.items()
    }
    run = subprocess.run(
        [sys.executable, "-c", CHILD, model.path],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == ["1", "1"]
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("name", TELEMETRY)
def test_a_value_that_the_user_set_stays(monkeypatch, name):
    monkeypatch.setenv(name, "0")
    # It was imported with telemetry off, which no later value changes.
    assert vendor.onnxruntime() is onnxruntime
    assert os.environ[name] == "0"


@pytest.mark.tf
def test_tensorflow_s_complaints_of_tracing_are_left_out_and_all_others_heard(keras, caplog):
    import tensorflow as tf

    tf.get_logger().addHandler(caplog.handler)
    try:
        tf.get_logger().warning("5 out of 21 calls to %s triggered tf.function retracing.", "f")
        tf.get_logger().warning("something else")
    finally:
        tf.get_logger().removeHandler(caplog.handler)
    assert set(caplog.messages) == {"something else"}

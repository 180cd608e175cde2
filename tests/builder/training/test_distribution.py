"""Training on two devices, which a CPU can pretend to be, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unetrt.errors import BadInput

pytestmark = pytest.mark.tf

CHILD = """
import json, runpy, sys
from pathlib import Path
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
script, folder, out = sys.argv[1:]
go = runpy.run_path(script)["go"]
import keras

found = {}
for devices in ("one", "all"):
    seen = set()
    real = keras.layers.Conv2D.call

    def noted(self, inputs):
        context = tf.distribute.get_replica_context()
        if context is not None and tf.is_tensor(inputs) and inputs.shape[0] in (2, 4):
            replica = tf.get_static_value(context.replica_id_in_sync_group)
            seen.add((int(replica), inputs.shape[0]))
        return real(self, inputs)

    keras.layers.Conv2D.call = noted
    try:
        result = go(Path(folder), Path(out) / devices, devices=devices, epochs=2, dropout=0.0)
    finally:
        keras.layers.Conv2D.call = real
    found[devices] = {
        "loss": [epoch.loss for epoch in result.history],
        "dice": result.best.val_dice,
        "shares": sorted(seen),
        "weights": float(sum(abs(w).sum() for w in result.model.get_weights())),
    }
odd = {"epochs": 1, "batch": 2, "deep_supervision": 1, "filters": (4, 8)}
again = go(Path(folder), Path(out) / "odd", devices="all", **odd)
found["supervised"] = again.best.val_dice
try:
    go(Path(folder), Path(out) / "refused", devices="all", batch=5)
except Exception as error:
    found["refused"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_share_each_batch_and_learn_what_one_does(keras, disc_folder, tmp_path):
    script = Path(__file__).with_name("interrupted.py")
    command = [sys.executable, "-c", CHILD, str(script), str(disc_folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    one, both = found["one"], found["all"]
    assert one["shares"] == [[0, 4]]
    assert both["shares"] == [[0, 2], [1, 2]]
    # The Dice loss is of each share and so is batch normalisation; the rest is the same.
    assert both["loss"] == pytest.approx(one["loss"], rel=0.2)
    assert both["dice"] == pytest.approx(one["dice"], abs=0.05)
    assert found["supervised"] > 0.5
    assert "2 devices: got batch 5, expected 4 or 6" in found["refused"]
    assert (tmp_path / "all" / "model.keras").exists()


def test_one_device_needs_no_strategy(keras):
    from unetrt.builder import TrainSpec
    from unetrt.builder.training_model import strategy_for

    assert strategy_for(TrainSpec(devices="one")) is None
    assert strategy_for(TrainSpec(devices="all", batch=7)) is None  # there is one CPU here


def test_the_batch_must_divide_and_the_error_says_what_does(keras, monkeypatch):
    import tensorflow as tf

    from unetrt.builder import TrainSpec
    from unetrt.builder.training_model import strategy_for

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _kind: ["a", "b", "c"])
    with pytest.raises(BadInput, match="among 3 devices: got batch 8, expected 6 or 9"):
        strategy_for(TrainSpec(devices="all", batch=8))
    with pytest.raises(BadInput, match="got batch 2, expected 3"):
        strategy_for(TrainSpec(devices="all", batch=2))

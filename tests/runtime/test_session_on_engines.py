"""A session over a fake engine: what the session itself does."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.tensorrt_runtime import A10
from unetrt.artifacts import EngineTarget
from unetrt.errors import BadInput, NoDevice, ShapeError
from unetrt.normalization import Normalization
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.backends import tensorrt as backend


def image(*shape):
    return np.random.default_rng(0).integers(0, 200, shape).astype(np.float32)


def test_a_session_runs_an_engine_by_array_or_by_name(world):
    x = image(1, 8, 16, 1)
    with open_session(world.engine()) as session:
        np.testing.assert_array_equal(session.run(x), x)
        np.testing.assert_array_equal(session.run({"image": x})["sum"], x)
        with pytest.raises(ShapeError, match=r"got \(1, 40, 8, 1\), expected between"):
            session.run(image(1, 40, 8, 1))
        assert session.run(x).shape == x.shape
        np.testing.assert_array_equal(session.run(x[:, :, ::2]), x[:, :, ::2])
    assert world.device.held == {}


def test_the_layer_and_the_stream_reach_the_backend(world, monkeypatch):
    asked = []
    monkeypatch.setattr(
        backend, "open_device", lambda layer: (asked.append(layer), world.device)[1]
    )
    with open_session(world.engine(), SessionSpec(device="pycuda", stream=55)) as session:
        session.run(image(1, 8, 8, 1))
        assert session.info["precision"] == "fp32"
    assert asked == ["pycuda"]
    with pytest.raises(
        BadInput, match="session with this device: got 'cuda', expected auto or cuda-py"
    ):
        SessionSpec(device="cuda")
    with pytest.raises(BadInput, match=r"tell the CUDA stream: got 'main'.*__cuda_stream__; torch"):
        open_session(world.engine(), SessionSpec(stream="main"))


def test_another_gpus_engine_is_refused(world_of):
    world = world_of("tensorrt 11.4.0.106")
    target = EngineTarget(gpu=replace(A10, name="NVIDIA L4"))
    with pytest.raises(NoDevice, match="built for another GPU: got NVIDIA A10"):
        open_session(world.engine(target=target))


def test_an_image_is_normalised_before_it_goes_into_an_engine(world):
    pixels = image(10, 24, 1).astype(np.uint8)
    scale = Normalization().measure([pixels])
    with open_session(world.engine(normalization=Normalization())) as session:
        # The fake's network gives back what it takes.
        np.testing.assert_array_equal(session.probabilities(pixels), scale.apply(pixels))
        other = Normalization().measure([pixels, pixels + np.uint8(40)])
        of_volume = session.probabilities(pixels, scale=other)
        np.testing.assert_array_equal(of_volume, other.apply(pixels))
        x = image(1, 8, 16, 1)
        np.testing.assert_array_equal(session.run(x), x)
    averaged = SessionSpec(tta=True)
    with open_session(world.engine(normalization=Normalization()), averaged) as session:
        np.testing.assert_allclose(session.probabilities(pixels), scale.apply(pixels), rtol=1e-6)


def test_numbers_are_checked_where_the_spec_says_so(world):
    x = image(1, 8, 8, 1)
    x[0, 3, 4, 0] = np.nan
    with open_session(world.engine()) as session:
        assert session.run(x).shape == x.shape
    with open_session(world.engine(), SessionSpec(check_finite=True)) as session:
        with pytest.raises(BadInput, match=r"numbers that are not finite: got nan at \[0, 3, 4, 0"):
            session.run(x)
        with pytest.raises(BadInput, match="on a GPU are finite; open the session without check_f"):
            session.run(world.put(x))
        assert session.run(np.nan_to_num(x)).shape == x.shape

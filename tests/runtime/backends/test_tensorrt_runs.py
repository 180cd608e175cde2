"""Runs from host to host: the order of the device's calls, memory, graphs."""

import numpy as np
import pytest

from tests.fakes.tensorrt_runtime import RTX, SURFACES
from unetrt.errors import ArtifactError, OutOfMemory, ShapeError
from unetrt.receipt import Receipt


def image(*shape, dtype=np.float32):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("version", SURFACES)
def test_a_warm_run_copies_launches_copies_and_waits_in_every_version(world_of, version):
    world = world_of(version)
    opened, x = world.open(), image(1, 8, 16, 1)
    launched = "execute" if version == RTX else "launch"
    for _ in range(2):
        np.testing.assert_array_equal(opened.run((x,))[0], x)
    for _ in range(3):
        world.forget()
        np.testing.assert_array_equal(opened.run((x,))[0], x)
        assert world.device.done == ["in", launched, "out", "synchronize"]  # nothing allocated
    opened.close()
    assert (world.device.held, world.contexts) == ({}, 0)


@pytest.mark.parametrize("version", SURFACES)
def test_only_rtx_is_told_to_capture_and_where_its_kernels_are(world_of, version):
    world = world_of(version)
    opened = world.open()
    opened.bind((image(1, 8, 8, 1),)).close()
    opened.close()
    touched = world.trt.surface.touched
    for member in (
        ("IRuntimeConfig", "set_runtime_cache"),
        ("IRuntimeConfig", "cuda_graph_strategy"),
        ("IRuntimeConfig", "dynamic_shapes_kernel_specialization_strategy"),
        ("Runtime", "get_engine_validity"),
    ):
        assert (member in touched) == (version == RTX)
    assert world.trt.surface.lacked <= {
        ("IRuntimeConfig", "create_runtime_cache"),
        ("Runtime", "get_engine_validity"),
    }  # asked for by hasattr
    if version == RTX:
        pooled, fixed = world.configs
        assert pooled.cuda_graph_strategy == fixed.cuda_graph_strategy == "whole"
        strategies = [c.dynamic_shapes_kernel_specialization_strategy for c in world.configs]
        assert strategies == [None, "eager"]


def test_the_graph_is_captured_on_the_second_run_of_a_shape(capturing):
    opened, x = capturing.open(), image(1, 8, 8, 1)
    opened.run((x,))
    assert "capture" not in capturing.device.done
    opened.run((x,))
    assert capturing.device.done.count("capture") == 1
    assert opened.info["cuda_graph"] == "captured per shape"
    other = image(1, 16, 8, 1)
    for _ in range(3):
        np.testing.assert_array_equal(opened.run((other,))[0], other)
    assert capturing.device.done.count("capture") == 2
    graphs = [handle for kind, handle in capturing.device.held if kind == "graph"]
    assert len(graphs) == 1  # the first shape's does not hold any more
    opened.close()
    assert capturing.device.held == {}


def test_a_refused_capture_is_seen_in_info_and_runs_go_on(capturing):
    capturing.device.capturable = False
    opened, x = capturing.open(), image(1, 8, 8, 1)
    for _ in range(4):
        np.testing.assert_array_equal(opened.run((x,))[0], x)
    assert capturing.device.done.count("capture") == 1  # it does not ask again
    assert opened.info["cuda_graph"] == "none"
    assert "StreamCaptureInvalidated" in opened.info["cuda_graph_refused"]
    opened.close()
    assert capturing.device.held == {}


def test_an_enqueue_that_fails_while_captured_ends_the_capture(capturing):
    opened, x = capturing.open(), image(1, 8, 8, 1)
    opened.run((x,))
    capturing.fails_to_run = True
    with pytest.raises(ArtifactError, match="The engine did not run; see TensorRT's message"):
        opened.run((x,))
    assert capturing.device._captured == {}
    capturing.fails_to_run = False
    np.testing.assert_array_equal(opened.run((x,))[0], x)
    assert "did not run" in opened.info["cuda_graph_refused"]


def test_several_inputs_and_outputs_keep_their_order_and_types(world):
    world.types = {"image": "uint8", "mask": "float32", "sum": "float32", "labels": "uint8"}
    opened = world.open()
    a, b = image(2, 8, 8, 1, dtype=np.uint8), image(2, 8, 8, 1)
    total, labels = opened.run((a, b))
    np.testing.assert_array_equal(total, a + b)
    assert (labels.dtype, labels.shape) == (np.uint8, (2, 8, 8))
    np.testing.assert_array_equal(labels, (a + b)[..., 0] > 100)


def test_sixteen_bits_go_in_as_they_lie_in_memory(world):
    world.types = {"image": "uint16", "sum": "float32"}
    opened, x = world.open(), image(1, 8, 8, 1, dtype=np.uint16) * 300
    np.testing.assert_array_equal(opened.run((x,))[0], x.astype(np.float32))
    with pytest.raises(ShapeError, match=r"got \(1, 40, 8, 1\), expected between \(1, 8, 8, 1\)"):
        opened.check(((1, 40, 8, 1),))


def test_a_result_is_not_overwritten_by_the_next_run(world):
    opened, x = world.open(), image(1, 8, 8, 1)
    (first,) = opened.run((x,))
    opened.run((x + 1,))
    np.testing.assert_array_equal(first, x)


def test_an_input_that_lies_in_pinned_memory_is_not_put_there_again(world):
    opened, x = world.open(), image(1, 8, 8, 1)
    (y,) = opened.run((x,))  # results do
    y += 1
    np.testing.assert_array_equal(opened.run((y,))[0], x + 1)
    (context,) = opened._pool._idle
    np.testing.assert_array_equal(context._feeds[0], x)
    turned = y.transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(opened.run((turned,))[0], turned)


def test_who_keeps_very_many_results_gets_copies(world):
    opened, kept = world.open(), []
    for seed in range(70):
        kept += opened.run((image(1, 8, 8, 1) + seed,))
    for seed, y in enumerate(kept):
        np.testing.assert_array_equal(y, image(1, 8, 8, 1) + seed)
    assert sum(kind == "pinned" for kind, _ in world.device.held) == 64 + 2  # the context's own
    opened.close()
    np.testing.assert_array_equal(kept[0], image(1, 8, 8, 1))
    kept.clear()
    del y
    assert world.device.held == {}


def test_memory_grows_to_the_largest_shape_and_is_all_given_back(capturing):
    opened = capturing.open()
    for side in (8, 32, 16, 8):
        x = image(1, side, side, 1)
        np.testing.assert_array_equal(opened.run((x,))[0], x)
    device = capturing.device
    assert device.done.count("allocate") == 4  # an input and an output, twice
    sizes = [array.nbytes for (kind, _), array in device.held.items() if kind == "memory"]
    assert sizes == [32 * 32 * 4] * 2
    capturing.forget()
    for side in (32, 8, 16):
        opened.run((image(1, side, side, 1),))
    assert {"allocate", "pin", "free"}.isdisjoint(device.done)
    opened.close()
    assert device.held == {}


def test_a_size_outside_the_profile_is_refused(world):
    opened = world.open()
    words = r"not built for this size of 'image': got \(1, 40, 8, 1\)"
    for refuse in (opened.check, lambda shapes: opened.run((image(*shapes[0]),))):
        with pytest.raises(ShapeError, match=words):
            refuse(((1, 40, 8, 1),))
    assert opened.run((image(1, 8, 8, 1),))[0].shape == (1, 8, 8, 1)


def test_out_of_memory_names_the_bytes_and_a_smaller_run_works(capturing):
    capturing.device.room = 2 * 8 * 8 * 4
    opened, small = capturing.open(), image(1, 8, 8, 1)
    opened.run((small,))
    for _ in range(2):
        with pytest.raises(OutOfMemory, match=r"allocate 4096 bytes.*got 512 free of 512; run a s"):
            opened.run((image(1, 32, 32, 1),))
    np.testing.assert_array_equal(opened.run((small,))[0], small)
    opened.close()
    assert capturing.device.held == {}


def test_info_says_where_and_in_what_it_computes(world):
    receipt = Receipt(convolution_share={"fp16": 0.98, "fp32": 0.02}, tf32=True)
    said = world.open(receipt=receipt).info
    assert (said["device"], said["device_layer"], said["contexts"]) == ("fake", "NumPy", 1)
    assert said["receipt"] == "fp16 98.0%, tf32 2.0%"
    assert said["cuda_graph"] == "captured by the library"
    assert world.open(precision="fp32").info["receipt"] == "fp32"

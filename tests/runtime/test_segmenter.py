"""Tiles give what the whole image gives: the same classes, probabilities within rounding."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unetrt.builder.spec import UNetSpec
from unetrt.errors import BadInput, ShapeError
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.segmenter import HELD, joined

pytestmark = pytest.mark.tf

UNPADDED = {"padding": "valid", "upsampling_kernel": 2}

NETWORKS = {
    "article": {},
    "one level": {"filters": (4,)},
    "large kernels": {"kernel_size": 5, "upsampling_kernel": 4},
    "residual attention": {"residual": True, "attention": True, "normalization": "batch"},
    "nearest": {"upsampling": "nearest"},
    "bilinear": {"upsampling": "bilinear"},
    "unpadded": UNPADDED,
    "unpadded residual": UNPADDED | {"residual": True, "filters": (4,)},
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """ONNX files of all of them; the same weights for all tests of the module."""
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    keras = vendor.keras()
    from unetrt.builder import build_unet
    from unetrt.convert.to_onnx import export_onnx

    folder = tmp_path_factory.mktemp("networks")
    keras.utils.set_random_seed(0)
    small = {"shape": (None, None, 1), "n_classes": 3, "filters": (4, 8), "bottleneck": 8}
    return {
        name: export_onnx(
            build_unet(UNetSpec(**(small | changes))), folder / f"{name.replace(' ', '_')}.onnx"
        )
        for name, changes in (NETWORKS | {"group": {"normalization": "group"}}).items()
    }


def _whole_and_tiled(model, image, tile_pixels, **choices):
    memory_bytes = int(HELD * model.bytes_per_pixel * tile_pixels) + 1
    with (
        open_session(model, SessionSpec(memory_bytes=1 << 40, **choices)) as whole,
        open_session(model, SessionSpec(memory_bytes=memory_bytes, **choices)) as tiled,
    ):
        assert whole.segmenter().tiling(*image.shape[:2]).count == 1
        return (
            (whole.probabilities(image), whole.segment(image)),
            (tiled.probabilities(image), tiled.segment(image)),
            tiled.segmenter().tiling(*image.shape[:2]),
        )


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(1, 260),
    width=st.integers(1, 260),
    factor=st.floats(1.0, 6.0),
    seed=st.integers(0, 99),
)
def test_tiles_give_what_the_whole_image_gives(networks, name, height, width, factor, seed):
    model = networks[name]
    field = model.receptive_field
    halo = field.before[0] + field.after[0]
    least = model.sizes.at_least(halo + model.sizes.multiple)
    most = int(16 * (least * factor**0.5 - halo))  # thousands of tiles take minutes
    shape = (min(height, most), min(width, most), 1)
    image = np.random.default_rng(seed).random(shape).astype(np.float32)
    whole, tiled, _ = _whole_and_tiled(model, image, factor * least * least)
    np.testing.assert_allclose(tiled[0], whole[0], atol=2e-6)
    clear = np.sort(whole[0], axis=-1)
    clear = clear[..., -1] - clear[..., -2] > 1e-5  # rounding may turn a draw
    np.testing.assert_array_equal(tiled[1][clear], whole[1][clear])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_tiles_are_many_and_exact(networks, name):
    """So that the tests above cannot pass by never cutting."""
    model = networks[name]
    field = model.receptive_field
    assert field.is_bounded
    least = model.sizes.at_least(field.before[0] + field.after[0] + model.sizes.multiple)
    image = np.random.default_rng(0).random((3 * least + 5, 2 * least + 3, 1)).astype(np.float32)
    whole, tiled, tiling = _whole_and_tiled(model, image, least * least)
    assert tiling.count > 8
    np.testing.assert_allclose(tiled[0], whole[0], atol=2e-6)


@pytest.mark.parametrize("name", ["article", "nearest", "unpadded residual"])
def test_tiles_that_are_mirrored_and_turned_give_the_mean_over_the_whole(networks, name):
    model = networks[name]
    least = model.sizes.at_least(
        2 * max(*model.receptive_field.before, *model.receptive_field.after) + model.sizes.multiple
    )
    image = np.random.default_rng(0).random((least + 25, least + 13, 1)).astype(np.float32)
    whole, tiled, tiling = _whole_and_tiled(model, image, least * least, tta=True)
    assert tiling.count > 3
    np.testing.assert_allclose(tiled[0], whole[0], atol=2e-6)


def test_a_halo_one_stride_too_small_shows(networks):
    """The bound is not far above what the network looks at, and the comparison sees seams."""
    model = networks["article"]
    field = model.receptive_field
    short = replace(field, before=tuple(n - 8 for n in field.before))
    image = np.random.default_rng(0).random((300, 300, 1)).astype(np.float32)
    worse = replace(model, receptive_field=short)
    whole, tiled, tiling = _whole_and_tiled(worse, image, 64 * 64)
    assert tiling.count > 8
    assert np.abs(tiled[0] - whole[0]).max() > 1e-5


def test_a_network_that_sees_everything_is_refused_where_it_does_not_fit(networks):
    model = networks["group"]
    image = np.zeros((256, 256, 1), np.float32)
    assert model.receptive_field.unbounded_by.startswith("down1/norm1")
    with (
        open_session(model, SessionSpec(memory_bytes=1 << 20)) as session,
        pytest.raises(BadInput, match="got down1/norm1.*, which sees .*: `tiling='blended'`"),
    ):
        session.segment(image)
    with open_session(model) as session:
        assert session.segment(image).shape == (256, 256)


def test_rows_come_one_row_of_tiles_at_a_time_and_can_begin_further_down(networks):
    """Each row is read when it is its turn, and nothing above what it needs."""
    model = networks["article"]
    image = np.random.default_rng(0).random((400, 90, 1)).astype(np.float32)
    lowest = []

    class Watched:
        shape = image.shape

        def __getitem__(self, key):
            lowest.append(key[0].stop)
            return image[key]

    spec = SessionSpec(memory_bytes=int(HELD * model.bytes_per_pixel * 96 * 96))
    with open_session(model, spec) as session:
        whole = session.segment(image)
        done = []
        rows = session.segmenter().labels(Watched(), on_tile=done.append)
        first = next(rows)
        assert max(lowest) < 200
        rest = list(rows)
        again = list(session.segmenter().labels(image, first=1))
        tiling = session.segmenter().tiling(400, 90)
    assert done == list(range(1, tiling.count + 1))
    np.testing.assert_array_equal(np.concatenate([r.values for r in (first, *rest)]), whole)
    assert [r.top for r in again] == [r.top for r in rest]
    np.testing.assert_array_equal(joined(iter((first, *again)), 400), whole)


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3), (0, 64, 1)])
def test_what_is_no_image_of_the_network_is_refused(networks, shape):
    with open_session(networks["article"]) as session, pytest.raises(ShapeError):
        session.segment(np.zeros(shape, np.float32))


def _smooth(height, width):
    y, x = np.mgrid[:height, :width] / 40
    return (np.sin(y) + np.cos(x))[:, :, np.newaxis].astype(np.float32)


@pytest.mark.parametrize("name", ["group", "article", "unpadded"])
def test_blended_tiles_take_any_network_and_come_near(networks, name):
    model, image = networks[name], _smooth(300, 180)
    spec = SessionSpec(memory_bytes=int(HELD * model.bytes_per_pixel * 100 * 100), tiling="blended")
    with open_session(model) as whole, open_session(model, spec) as blended:
        assert blended.segmenter().tiling(300, 180).count > 4
        expected, found = whole.probabilities(image), blended.probabilities(image)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
        if model.receptive_field.is_bounded:  # where each tile has its own statistics, it is not
            assert np.abs(found - expected).mean() < 0.05
        labels = blended.segment(image)
        assert (labels.shape, labels.dtype) == ((300, 180), np.uint8)
        np.testing.assert_array_equal(labels, found.argmax(-1))


def test_a_blended_session_leaves_whole_what_fits(networks):
    image = _smooth(64, 96)
    with (
        open_session(networks["group"]) as whole,
        open_session(networks["group"], SessionSpec(tiling="blended")) as blended,
    ):
        np.testing.assert_array_equal(blended.probabilities(image), whole.probabilities(image))


def test_labels_alone_cannot_be_blended(networks):
    model = networks["article"]
    labels = replace(model.outputs[0], name="labels", dtype="uint8", shape=("b", "h", "w"))
    spec = SessionSpec(memory_bytes=int(HELD * model.bytes_per_pixel * 100 * 100), tiling="blended")
    with (
        open_session(replace(model, outputs=(labels,)), spec) as session,
        pytest.raises(ShapeError, match="gives no probabilities"),
    ):
        session.segment(_smooth(300, 180))

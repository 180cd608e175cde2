"""Files that give parts of themselves."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetrt.data.large_image import open_image_file
from unetrt.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 1 << 16, (40, 50, 3)).astype(np.uint16)


def _write(path, pixels, kind):
    if kind == "npy":
        np.save(path, pixels)
    elif kind == "zarr":
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(path, shape=pixels.shape, chunks=(16, 16, 3)[: pixels.ndim],
                                  dtype=pixels.dtype)  # fmt: skip
        array[:] = pixels
    else:
        if kind == "tiled":
            pytest.importorskip("zarr")
        options = {"tiled": {"tile": (16, 16), "compression": "zlib"}, "big": {"byteorder": ">"}}
        tifffile.imwrite(
            path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack",
            **options.get(kind, {}),
        )  # fmt: skip
    return path


@pytest.mark.parametrize("kind", ["npy", "zarr", "plain", "big", "tiled"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_part_is_what_was_stored(tmp_path, kind, channels):
    pixels = PIXELS if channels == 3 else PIXELS[:, :, 0]
    suffix = kind if kind in ("npy", "zarr") else "tif"
    image = open_image_file(_write(tmp_path / f"a.{suffix}", pixels, kind))
    assert image.shape == (40, 50, channels)
    assert image.dtype == np.uint16
    part = image[7:30, 3:21]
    np.testing.assert_array_equal(part, PIXELS[7:30, 3:21, :channels])
    assert part.dtype.isnative


def test_what_gives_itself_only_whole_is_left_to_read_image(tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((3, 40, 50), np.uint8), photometric="minisblack"
    )
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for name in ("a.png", "stack.tif", "cut.tif", "cut.npy"):
        assert open_image_file(tmp_path / name) is None


@pytest.mark.parametrize("shape", [(4,), (4, 5, 2), (2, 3, 4, 5), (0, 5)])
def test_arrays_that_are_no_images_are_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(DataError, match="Cannot use the image"):
        open_image_file(tmp_path / "a.npy")


def test_bad_pixels_are_found_where_they_are_read(tmp_path):
    pixels = np.zeros((40, 50), np.float32)
    pixels[30, 5] = np.nan
    np.save(tmp_path / "a.npy", pixels)
    image = open_image_file(tmp_path / "a.npy")
    assert image[0:20, 0:50].shape == (20, 50, 1)
    with pytest.raises(DataError, match="rows 20 to 40 of .*NaN or infinite"):
        image[20:40, 0:50]


def test_a_file_cut_short_later_is_an_error_that_names_the_rows(tmp_path):
    path = _write(tmp_path / "a.npy", PIXELS, "npy")
    image = open_image_file(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="Cannot read rows 0 to 40 of"):
        image[0:40, 0:50]


def test_a_zarr_group_is_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(DataError, match="expected a Zarr array, not a group"):
        open_image_file(tmp_path / "a.zarr")

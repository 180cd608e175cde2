"""Sixteen-bit colours come whole, whatever the file."""

import numpy as np
import png
import pytest
import tifffile

from unetrt.data import read_image
from unetrt.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 1 << 16, (5, 4, 4)).astype(np.uint16)


def _write_png(path, pixels, mode, bits=16):
    png.from_array(pixels.reshape(len(pixels), -1), mode=f"{mode};{bits}").save(path)


@pytest.mark.parametrize(("mode", "samples", "channels"), [("RGB", 3, 3), ("RGBA", 4, 3)])
def test_a_png_keeps_sixteen_bits(tmp_path, mode, samples, channels):
    _write_png(tmp_path / "a.png", PIXELS[:, :, :samples], mode)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read, PIXELS[:, :, :channels])
    assert read.dtype == np.uint16


def test_a_png_of_grey_and_alpha_keeps_its_grey(tmp_path):
    _write_png(tmp_path / "a.png", PIXELS[:, :, :2], "LA")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PIXELS[:, :, :1])


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_keeps_its_type(tmp_path, planes, dtype, big):
    pixels = PIXELS[:, :, :3].astype(dtype)
    stored = pixels if planes == "contig" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planes, bigtiff=big
    )
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, pixels)
    assert read.dtype == dtype


def test_the_alpha_of_a_tiff_is_dropped(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), PIXELS[:, :, :3])


@pytest.mark.parametrize("kept", [20, 60, 120])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_file_cut_short_is_refused(tmp_path, kept, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        _write_png(path, PIXELS[:, :, :3], "RGB")
    else:
        tifffile.imwrite(path, PIXELS[:, :, :3], photometric="rgb")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="Cannot (read|use) the image"):
        read_image(path)

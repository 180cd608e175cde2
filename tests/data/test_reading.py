"""Every format keeps its pixels, whole or in part; each damage is an error that says which."""

import numpy as np
import png
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from unetrt.data import read_image
from unetrt.data.reading import open_image_file, read_pages
from unetrt.errors import DataError

DEEP = np.random.default_rng(0).integers(0, 1 << 16, (5, 4, 4)).astype(np.uint16)
LARGE = np.random.default_rng(0).integers(0, 1 << 16, (40, 50, 3)).astype(np.uint16)
VOLUMES = arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
    st.tuples(*[st.integers(4, 7)] * 3),
    elements=st.integers(0, 200),
)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_grey_images_keep_their_values(tmp_path, dtype, suffix):
    pixels = (np.arange(12).reshape(3, 4) * 20).astype(dtype)
    path = tmp_path / f"image{suffix}"
    if suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read[:, :, 0], pixels)
    assert read.dtype == dtype


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_images_have_three_channels(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").shape == (3, 4, 3)


def test_a_palette_label_gives_its_indices(tmp_path):
    image = Image.new("P", (4, 3), 2)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "label.png")
    assert set(read_image(tmp_path / "label.png", palette=True).ravel().tolist()) == {2}


def test_a_stack_is_refused(tmp_path):
    pages = [Image.new("L", (4, 3)), Image.new("L", (4, 3))]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="got 2 pages, expected one"):
        read_image(tmp_path / "stack.tif")


def _write_png(path, pixels, mode, bits=16):
    png.from_array(pixels.reshape(len(pixels), -1), mode=f"{mode};{bits}").save(path)


@pytest.mark.parametrize(("mode", "samples", "channels"), [("RGB", 3, 3), ("RGBA", 4, 3)])
def test_a_png_keeps_sixteen_bits(tmp_path, mode, samples, channels):
    _write_png(tmp_path / "a.png", DEEP[:, :, :samples], mode)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read, DEEP[:, :, :channels])
    assert read.dtype == np.uint16


def test_a_png_of_grey_and_alpha_keeps_its_grey(tmp_path):
    _write_png(tmp_path / "a.png", DEEP[:, :, :2], "LA")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), DEEP[:, :, :1])


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_keeps_its_type(tmp_path, planes, dtype, big):
    pixels = DEEP[:, :, :3].astype(dtype)
    stored = pixels if planes == "contig" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planes, bigtiff=big
    )
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, pixels)
    assert read.dtype == dtype


def test_the_alpha_of_a_tiff_is_dropped(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), DEEP[:, :, :3])


@pytest.mark.parametrize("kept", [20, 60, 120])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_file_cut_short_is_refused(tmp_path, kept, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        _write_png(path, DEEP[:, :, :3], "RGB")
    else:
        tifffile.imwrite(path, DEEP[:, :, :3], photometric="rgb")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="Cannot (read|use) the image"):
        read_image(path)


def nifti(path, volume):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)


@settings(max_examples=30)
@given(VOLUMES)
def test_the_slices_of_a_volume_make_it_up_again(tmp_path_factory, volume):
    folder = tmp_path_factory.mktemp("v")
    nifti(folder / "v.nii", volume)
    for axis in range(3):
        pages = read_pages(folder / "v.nii", axis=axis)
        np.testing.assert_array_equal(np.stack(pages, axis=axis)[..., 0], volume)
    tifffile.imwrite(folder / "v.tif", volume, photometric="minisblack")
    np.testing.assert_array_equal(np.stack(read_pages(folder / "v.tif"))[..., 0], volume)
    np.save(folder / "v.npy", volume)
    np.testing.assert_array_equal(np.stack(read_pages(folder / "v.npy"))[..., 0], volume)


def test_a_stack_of_colour_pages_and_one_that_only_pillow_decodes(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (3, 9, 8, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb")
    np.testing.assert_array_equal(np.stack(read_pages(tmp_path / "c.tif")), colours)
    pages = [Image.fromarray(page) for page in colours[..., 0]]
    pages[0].save(
        tmp_path / "z.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw"
    )
    np.testing.assert_array_equal(np.stack(read_pages(tmp_path / "z.tif"))[..., 0], colours[..., 0])


def test_a_slice_that_is_not_a_number_is_named(tmp_path):
    volume = np.zeros((5, 16, 20), np.float32)
    volume[3, 2, 2] = np.nan
    np.save(tmp_path / "v.npy", volume)
    with pytest.raises(DataError, match=r"page 3 of .*v\.npy: got NaN or infinite pixels"):
        read_pages(tmp_path / "v.npy")


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz"])
def test_a_truncated_volume_is_refused(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    volume = np.random.default_rng(0).integers(0, 255, (6, 40, 40)).astype(np.uint8)
    (tifffile.imwrite if suffix == ".tif" else nifti)(path, volume)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=rf"Cannot read .*v{suffix}"):
        read_pages(path)


def test_a_volume_of_many_channels_is_refused(tmp_path):
    nifti(tmp_path / "v.nii", np.zeros((4, 5, 6, 7), np.uint8))
    with pytest.raises(DataError, match=r"got shape \(4, 5, 6, 7\), expected three axes"):
        read_pages(tmp_path / "v.nii")


def test_a_stack_of_stacks_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", np.zeros((2, 3, 8, 9), np.uint8), imagej=True)
    with pytest.raises(DataError, match="with axes .* expected pages of one size"):
        read_pages(tmp_path / "v.tif")


def write_large(path, pixels, kind):
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
    pixels = LARGE if channels == 3 else LARGE[:, :, 0]
    suffix = kind if kind in ("npy", "zarr") else "tif"
    image = open_image_file(write_large(tmp_path / f"a.{suffix}", pixels, kind))
    assert image.shape == (40, 50, channels)
    assert image.dtype == np.uint16
    part = image[7:30, 3:21]
    np.testing.assert_array_equal(part, LARGE[7:30, 3:21, :channels])
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
    path = write_large(tmp_path / "a.npy", LARGE, "npy")
    image = open_image_file(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="Cannot read rows 0 to 40 of"):
        image[0:40, 0:50]


def test_a_zarr_group_is_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(DataError, match="expected a Zarr array, not a group"):
        open_image_file(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "dtype", ["int8", "uint32", "int64", "uint64", "float16", "float64", "int32", "float32"]
)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}])
def test_a_grey_tiff_of_any_type_is_the_same_whole_and_in_parts(tmp_path, dtype, options):
    pixels = (DEEP[:, :, 0] % 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", **options)
    whole = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(whole[:, :, 0], pixels)
    assert whole.dtype == np.dtype(dtype)
    if "compression" in options:
        pytest.importorskip("zarr")
    part = open_image_file(tmp_path / "a.tif")[1:4, 0:3]
    np.testing.assert_array_equal(part, whole[1:4, 0:3])
    assert part.dtype == whole.dtype


def test_a_boolean_mask_is_zeros_and_ones(tmp_path):
    mask = np.arange(20).reshape(4, 5) % 3 == 0
    np.save(tmp_path / "a.npy", mask)
    read = read_image(tmp_path / "a.npy")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read[:, :, 0], mask)
    np.testing.assert_array_equal(open_image_file(tmp_path / "a.npy")[0:2, 0:5], read[0:2])


def test_a_photograph_with_a_preview_behind_it_is_the_photograph(tmp_path):
    photo = Image.fromarray((DEEP[:, :, :3] >> 8).astype(np.uint8))
    photo.save(tmp_path / "plain.jpg")
    photo.save(
        tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[photo.resize((2, 2))]
    )
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.jpg"), read_image(tmp_path / "plain.jpg")
    )


@pytest.mark.parametrize("photometric", ["palette", "miniswhite"])
def test_colours_of_a_palette_and_white_as_zero_are_only_read_whole(tmp_path, photometric):
    grey = (LARGE[:, :, 0] >> 8).astype(np.uint8)
    table = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    options = {"colormap": table} if photometric == "palette" else {}
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric=photometric, **options)
    assert open_image_file(tmp_path / "a.tif") is None
    read = read_image(tmp_path / "a.tif")
    if photometric == "palette":
        np.testing.assert_array_equal(read, (table.T // 257)[grey])
    else:
        np.testing.assert_array_equal(read[:, :, 0], 255 - grey)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_an_array_of_pages_has_any_number_of_channels(tmp_path, channels):
    pages = np.arange(2 * 4 * 5 * channels, dtype=np.uint16).reshape(2, 4, 5, channels)
    np.save(tmp_path / "a.npy", pages)
    for read, stored in zip(read_pages(tmp_path / "a.npy"), pages, strict=True):
        np.testing.assert_array_equal(read, stored)


def test_five_axes_are_no_pages(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 2, 3, 4, 5)))
    with pytest.raises(DataError, match=r"Cannot use .*a\.npy"):
        read_pages(tmp_path / "a.npy")

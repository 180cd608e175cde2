"""Images are turned as their orientation tag says, in every format, whole or in parts."""

from pathlib import Path

import numpy as np
import png
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import write_folder
from unetrt.data import load_dataset
from unetrt.data.reading import open_image_file, read_image, read_pages

HERE = Path(__file__).parent / "oriented"
STORED = np.random.default_rng(0).integers(0, 1 << 16, (24, 37, 3)).astype(np.uint16)
BYTES = (STORED >> 8).astype(np.uint8)

# By the words of Exif 2.32, 4.6.4: where row 0 and column 0 of what is stored are seen.
SEEN = {
    1: lambda a: a,
    2: np.fliplr,  # top and right
    3: lambda a: np.rot90(a, 2),  # bottom and right
    4: np.flipud,  # bottom and left
    5: lambda a: a.swapaxes(0, 1),  # left and top
    6: lambda a: np.rot90(a, -1),  # right and top
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),  # right and bottom
    8: np.rot90,  # left and bottom
}

every = pytest.mark.parametrize("tag", SEEN)


def exif(tag):
    written = Image.Exif()
    written[274] = tag
    return written


def write_tiff(path, pixels, tag, **options):
    kind = "rgb" if pixels.shape[-1] == 3 else "minisblack"
    tags = [(274, "H", 1, tag, True)]
    tifffile.imwrite(path, pixels, photometric=kind, extratags=tags, **options)
    return path


def write_deep_png(path, tag, *, behind):
    """Write 16-bit RGB with an eXIf chunk before or behind the pixels, as the format allows."""
    png.from_array(STORED.reshape(len(STORED), -1), "RGB;16").save(path)
    chunks = list(png.Reader(bytes=path.read_bytes()).chunks())
    chunks.insert(-1 if behind else 1, (b"eXIf", exif(tag).tobytes()[6:]))
    with path.open("wb") as file:
        png.write_chunks(file, chunks)
    return path


@pytest.mark.parametrize("tag", [2, 6, 8])
def test_photographs_are_seen_as_viewers_show_them(tag):
    expected = np.load(HERE / f"exif{tag}.exp.npy")
    np.testing.assert_array_equal(read_image(HERE / f"exif{tag}.jpg"), expected)


@every
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("pixels", [BYTES, BYTES[:, :, 0]], ids=["colour", "grey"])
def test_what_pillow_writes_is_turned(tmp_path, tag, suffix, pixels):
    plain, turned = tmp_path / f"plain{suffix}", tmp_path / f"turned{suffix}"
    Image.fromarray(pixels).save(plain)
    Image.fromarray(pixels).save(turned, exif=exif(tag))
    np.testing.assert_array_equal(read_image(turned), SEEN[tag](read_image(plain)))
    (page,) = read_pages(turned)
    np.testing.assert_array_equal(page, read_image(turned))
    assert page.flags.c_contiguous


@every
@pytest.mark.parametrize("behind", [False, True])
def test_a_png_of_sixteen_bits_is_turned(tmp_path, tag, behind):
    path = write_deep_png(tmp_path / "a.png", tag, behind=behind)
    np.testing.assert_array_equal(read_image(path), SEEN[tag](STORED))


@every
def test_a_palette_label_is_turned_with_its_image(tmp_path, tag):
    label = Image.fromarray(BYTES[:, :, 0] // 128).convert("P")
    label.save(tmp_path / "a.png", exif=exif(tag))
    read = read_image(tmp_path / "a.png", palette=True)
    np.testing.assert_array_equal(read[:, :, 0], SEEN[tag](np.asarray(label)))


@every
@pytest.mark.parametrize("pixels", [STORED, BYTES, STORED[:, :, 0]], ids=["deep", "8-bit", "grey"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}])
def test_a_tiff_is_turned_whole_and_in_parts(tmp_path, tag, pixels, options):
    path = write_tiff(tmp_path / "a.tif", pixels, tag, **options)
    seen = SEEN[tag](pixels).reshape(*SEEN[tag](pixels).shape[:2], -1)
    np.testing.assert_array_equal(read_image(path), seen)
    if options:
        pytest.importorskip("zarr")
    image = open_image_file(path)
    assert image.shape == seen.shape
    for rows, columns in ((slice(0, 9), slice(0, 24)), (slice(5, 24), slice(3, 11))):
        np.testing.assert_array_equal(image[rows, columns], seen[rows, columns])


@every
def test_the_pages_of_a_stack_are_turned(tmp_path, tag):
    pages = np.stack([BYTES[:, :, channel] for channel in range(3)])
    path = write_tiff(tmp_path / "a.tif", pages, tag)
    assert [page.shape for page in read_pages(path)] == [(*SEEN[tag](pages[0]).shape, 1)] * 3
    for page, stored in zip(read_pages(path), pages, strict=True):
        np.testing.assert_array_equal(page[:, :, 0], SEEN[tag](stored))


@every
def test_the_pages_of_a_stack_that_only_pillow_decodes_are_turned(tmp_path, tag):
    frames = [Image.fromarray(BYTES[:, :, channel]) for channel in range(3)]
    frames[0].save(
        tmp_path / "a.tif", save_all=True, append_images=frames[1:], compression="tiff_lzw",
        tiffinfo={274: tag},
    )  # fmt: skip
    for page, stored in zip(read_pages(tmp_path / "a.tif"), frames, strict=True):
        np.testing.assert_array_equal(page[:, :, 0], SEEN[tag](np.asarray(stored)))


@given(st.sampled_from(sorted(SEEN)), st.data())
def test_any_part_is_that_part_of_the_whole(tmp_path_factory, tag, data):
    path = write_tiff(tmp_path_factory.mktemp("t") / "a.tif", STORED, tag)
    seen, image = SEEN[tag](STORED), open_image_file(path)
    rows, columns = (
        slice(*sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))))
        for n in seen.shape[:2]
    )
    np.testing.assert_array_equal(image[rows, columns], seen[rows, columns])


@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_a_value_that_means_nothing_turns_nothing(tmp_path, tag):
    path = write_tiff(tmp_path / "a.tif", STORED, tag)
    np.testing.assert_array_equal(read_image(path), STORED)
    np.testing.assert_array_equal(open_image_file(path)[0:24, 0:37], STORED)
    Image.fromarray(BYTES).save(tmp_path / "a.png", exif=exif(tag))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), BYTES)


def test_labels_drawn_on_the_turned_image_lie_on_it(tmp_path):
    """As with photographs, whose labels are drawn on what a viewer shows."""
    folder = write_folder(tmp_path / "discs")
    plain = load_dataset(str(folder))
    for path in (folder / "images").iterdir():
        shown = np.asarray(Image.open(path))
        Image.fromarray(np.rot90(shown)).save(path, exif=exif(6))
    turned = load_dataset(str(folder))
    for one, other in zip(plain.train, turned.train, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.label, other.label)

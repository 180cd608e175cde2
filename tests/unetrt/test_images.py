import numpy as np
import pytest
from PIL import Image

from unetrt.data import read_image, write_image
from unetrt.errors import DataError


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


def test_what_is_written_reads_back(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_image(tmp_path / "new" / "label.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "label.png")[:, :, 0], pixels)

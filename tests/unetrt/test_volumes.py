"""Stacks and volumes: every slice an image of its own, all of a file in one part of the set."""

import json
import shutil

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from unetrt.data import load_dataset
from unetrt.data.folder import split_of
from unetrt.data.reading import read_pages
from unetrt.errors import DataError

VOLUMES = arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
    st.tuples(*[st.integers(4, 7)] * 3),
    elements=st.integers(0, 200),
)


def nifti(path, volume):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)


def write_volumes(folder, write, suffix, files=4, shape=(5, 16, 20)):
    random = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(files):
        label = (random.random(shape) < 0.4).astype(np.uint8)
        image = (label * 100 + random.integers(0, 50, shape)).astype(np.uint8)
        write(folder / "images" / f"v{number}{suffix}", image)
        write(folder / "labels" / f"v{number}{suffix}", label)
    return folder


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".nii", ".nii.gz"])
def test_slices_are_samples_and_those_of_a_file_stay_together(tmp_path, suffix):
    write = {".tif": tifffile.imwrite, ".npy": np.save}.get(suffix, nifti)
    folder = write_volumes(tmp_path / "d", write, suffix)
    said = {"classes": ["air", "cell"], "axis": 0}
    (folder / "dataset.json").write_text(json.dumps(said))
    data = load_dataset(str(folder))
    assert (len(data.train), len(data.val), len(data.test)) == (10, 5, 5)
    groups = [{s.group for s in part} for part in (data.train, data.val, data.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 4
    sample = data.val[3]
    assert (sample.image.shape, sample.image.dtype) == ((16, 20, 1), np.uint8)
    assert sample.name.endswith("_003")
    assert sample.image[sample.label == 1].min() >= 100 > sample.image[sample.label == 0].max()


@settings(max_examples=30, deadline=None)
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


def test_float_labels_of_whole_numbers_are_labels_and_fractions_are_not(tmp_path):
    folder = write_volumes(tmp_path / "d", lambda p, v: np.save(p, v.astype(np.float32)), ".npy")
    assert set(np.unique(load_dataset(str(folder)).train[0].label)) == {0, 1}
    np.save(folder / "labels" / "v2.npy", np.full((5, 16, 20), 0.25, np.float32))
    with pytest.raises(DataError, match=r"label v2_000: got the fraction 0\.25, expected whole"):
        load_dataset(str(folder))


def test_a_label_of_other_length_or_size_is_refused(tmp_path):
    folder = write_volumes(tmp_path / "d", np.save, ".npy")
    np.save(folder / "labels" / "v1.npy", np.zeros((4, 16, 20), np.uint8))
    with pytest.raises(DataError, match=r"v1.npy differ in pages: got 5 and 4"):
        load_dataset(str(folder))
    np.save(folder / "labels" / "v1.npy", np.zeros((5, 16, 21), np.uint8))
    with pytest.raises(DataError, match=r"v1.npy differ in size: got \(16, 20\) and \(16, 21\)"):
        load_dataset(str(folder))


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


def test_volumes_and_images_may_lie_side_by_side(tmp_path):
    folder = write_volumes(tmp_path / "d", np.save, ".npy", files=2)
    for part in ("images", "labels"):
        page = np.load(folder / part / "v0.npy")[0]
        Image.fromarray(page).save(folder / part / "single.png")
    data = load_dataset(str(folder))
    names = {s.name for part in (data.train, data.val, data.test) for s in part}
    assert "single" in names
    assert "v1_004" in names
    shutil.copy(folder / "images" / "v0.npy", folder / "images" / "single.npy")
    with pytest.raises(DataError, match="Two files in .* have one name"):
        load_dataset(str(folder))


@given(st.lists(st.text("abcdef", min_size=1), min_size=3, unique=True))
def test_a_draw_has_every_part_and_is_the_same_in_any_order(tmp_path_factory, names):
    folder = tmp_path_factory.getbasetemp()
    split = split_of(folder, names)
    assert set(split) == set(names)
    assert set(split.values()) == {"train", "val", "test"}
    assert split_of(folder, names[::-1]) == split

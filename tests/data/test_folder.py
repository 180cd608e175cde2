"""A user's own folder: what is understood, and what each mistake is told."""

import json
import shutil

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import write_folder
from tests.data.test_reading import nifti
from unetrt.data import IGNORED, load_dataset
from unetrt.data.folder import split_of
from unetrt.errors import DataError


def load(folder):
    return load_dataset(str(folder))


def test_masks_of_0_and_255_become_background_and_foreground(disc_folder):
    data = load(disc_folder)
    assert data.classes == ("background", "foreground")
    assert (len(data.train), len(data.val), len(data.test)) == (4, 1, 1)
    assert set(np.unique(data.train[0].label)) == {0, 1}
    assert data.train[0].image.shape == (48, 56, 1)


def test_sixteen_bit_labels_number_instances(tmp_path):
    data = load(write_folder(tmp_path / "d", label_dtype=np.uint16, on=40000))
    assert data.classes == ("background", "foreground")
    assert set(np.unique(data.train[0].label)) == {0, 1}
    assert set(np.unique(data.train[0].instances)) == {0, 40000}


def test_small_labels_are_classes(tmp_path):
    data = load(write_folder(tmp_path / "d", on=1))
    assert data.classes == ("background", "class1")
    assert data.train[0].instances is None


def test_what_nobody_knows_is_ignored(tmp_path):
    folder = write_folder(tmp_path / "d", on=1)
    for path in (folder / "labels").iterdir():
        label = np.array(Image.open(path))
        label[:5] = 255
        Image.fromarray(label).save(path)
    (folder / "dataset.json").write_text(json.dumps({"classes": ["air", "cell"]}))
    with pytest.raises(DataError, match=r"got 255, expected 0 to 1 .*\"ignore\": 255"):
        load(folder)
    said = {"classes": ["air", "cell"], "ignore": 255}
    (folder / "dataset.json").write_text(json.dumps(said))
    data = load(folder)
    assert (data.train[0].label[:5] == IGNORED).all()
    assert set(np.unique(data.train[0].label)) == {0, 1, IGNORED}


def test_a_set_with_nothing_but_ignored_pixels_has_no_foreground(tmp_path):
    folder = write_folder(tmp_path / "d", on=7)
    said = {"classes": ["air", "cell"], "ignore": 7}
    (folder / "dataset.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="No training image of 'd' has any foreground"):
        load(folder)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"ignore": "255"}, "got ignore '255', expected the number of pixels whose class"),
        ({"axis": 3}, "got axis 3, expected 0, 1 or 2"),
        ({"labels": "boxes"}, "got labels 'boxes'"),
        ({"lables": "mask"}, "got lables, expected classes, labels, ignore, axis"),
    ],
)
def test_what_dataset_json_cannot_mean_is_refused(disc_folder, said, words):
    said = {"classes": ["air", "cell"], **said}
    (disc_folder / "dataset.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=words):
        load(disc_folder)


def test_dataset_json_names_the_classes(tmp_path):
    folder = write_folder(tmp_path / "d", on=1)
    (folder / "dataset.json").write_text(json.dumps({"classes": ["air", "cell"]}))
    assert load(folder).classes == ("air", "cell")


def test_index_csv_splits(disc_folder):
    parts = ["train", "test", "val", "test", "train", "train"]
    rows = [f"disc{k}.png,{part}" for k, part in enumerate(parts)]
    (disc_folder / "index.csv").write_text("\n".join(["file,split", *rows]))
    assert [sample.name for sample in load(disc_folder).test] == ["disc1", "disc3"]


def test_the_split_by_name_never_changes(disc_folder):
    assert [s.name for s in load(disc_folder).test] == [s.name for s in load(disc_folder).test]


def test_images_may_differ_in_size(tmp_path):
    folder = write_folder(tmp_path / "d", sizes=((40, 50), (33, 90), (64, 64)))
    data = load(folder)
    shapes = {sample.image.shape for sample in (*data.train, *data.val, *data.test)}
    assert shapes == {(40, 50, 1), (33, 90, 1), (64, 64, 1)}


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match=r"no folder images/ in it, expected images/ and labels/"):
        load(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="not enough images in .*: got 0, expected at least 3"):
        load(tmp_path)


@pytest.mark.parametrize(("gone", "kept", "what"), [("labels", "images", "label"),
                                                    ("images", "labels", "image")])  # fmt: skip
def test_a_file_without_its_partner(disc_folder, gone, kept, what):
    (disc_folder / gone / "disc3.png").unlink()
    with pytest.raises(DataError, match=rf"{kept}/disc3.png has no {what}"):
        load(disc_folder)


def test_sizes_that_differ(disc_folder):
    Image.new("L", (10, 10)).save(disc_folder / "labels" / "disc2.png")
    with pytest.raises(DataError, match=r"disc2.png differ in size: got \(48, 56\) and \(10, 10\)"):
        load(disc_folder)


def test_labels_outside_the_classes(tmp_path):
    folder = write_folder(tmp_path / "d", on=7)
    (folder / "dataset.json").write_text(json.dumps({"classes": ["air", "cell"]}))
    with pytest.raises(DataError, match=r"outside the classes: got 7, expected 0 to 1 \(air, cell"):
        load(folder)


def test_labels_that_could_mean_anything(tmp_path):
    folder = write_folder(tmp_path / "d", on=100)
    with pytest.raises(DataError, match=r"Cannot tell what the labels .*dataset.json"):
        load(folder)


def test_a_truncated_image(disc_folder):
    path = disc_folder / "images" / "disc1.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="Cannot read the image .*disc1.png"):
        load(disc_folder)


def test_a_text_file_named_png(disc_folder):
    (disc_folder / "images" / "disc1.png").write_text("not an image")
    with pytest.raises(DataError, match="Cannot read the image .*disc1.png"):
        load(disc_folder)


def test_nan_pixels(disc_folder):
    (disc_folder / "images" / "disc1.png").unlink()
    np.save(disc_folder / "images" / "disc1.npy", np.full((48, 56), np.nan, np.float32))
    with pytest.raises(DataError, match=r"disc1.npy: got NaN or infinite pixels"):
        load(disc_folder)


def test_a_pickle_is_not_loaded(disc_folder):
    (disc_folder / "images" / "disc1.png").unlink()
    np.save(disc_folder / "images" / "disc1.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="Cannot read the image .*disc1.npy"):
        load(disc_folder)


def test_grey_and_rgb_together(disc_folder):
    Image.new("RGB", (56, 48)).save(disc_folder / "images" / "disc0.png")
    with pytest.raises(DataError, match="differ in channels: got 1 and 3"):
        load(disc_folder)


def test_labels_that_are_all_background(disc_folder):
    for path in (disc_folder / "labels").iterdir():
        Image.new("L", (56, 48)).save(path)
    with pytest.raises(DataError, match="No training image of 'discs' has any foreground"):
        load(disc_folder)


def test_constant_images_cannot_be_normalised(disc_folder):
    for path in (disc_folder / "images").iterdir():
        Image.new("L", (56, 48), 9).save(path)
    with pytest.raises(DataError, match="constant: got every pixel equal to 9"):
        load(disc_folder).pixel_statistics()


@pytest.mark.parametrize("text", ["{", "[]", '{"classes": ["one"]}', '{"classes": ["a", "a"]}'])
def test_an_unusable_dataset_json(disc_folder, text):
    (disc_folder / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json"):
        load(disc_folder)


@pytest.mark.parametrize("text", ["", "a,b\n1,2", "file,split\ndisc0.png,train"])
def test_an_unusable_index(disc_folder, text):
    (disc_folder / "index.csv").write_text(text)
    with pytest.raises(DataError, match=r"index\.csv"):
        load(disc_folder)


def test_hidden_files_do_not_count(disc_folder):
    shutil.copy(disc_folder / "images" / "disc0.png", disc_folder / "images" / "._disc0.png")
    assert len(load(disc_folder).train) == 4


def test_numpy_class_maps_of_any_integer_type_are_classes(tmp_path):
    folder = write_folder(tmp_path / "d", on=1)
    for path in (folder / "labels").iterdir():
        np.save(path.with_suffix(".npy"), np.array(Image.open(path)).astype(np.int64))
        path.unlink()
    assert load(folder).classes == ("background", "class1")


def test_dataset_json_can_name_a_mask_s_classes(disc_folder):
    (disc_folder / "dataset.json").write_text('{"classes": ["air", "cell"], "labels": "mask"}')
    data = load(disc_folder)
    assert data.classes == ("air", "cell")
    assert set(np.unique(data.train[0].label)) == {0, 1}


def test_instances_of_three_classes_make_no_sense(disc_folder):
    (disc_folder / "dataset.json").write_text('{"classes": ["a", "b", "c"], "labels": "instances"}')
    with pytest.raises(DataError, match="got 3 classes for labels that are 'instances'"):
        load(disc_folder)


def test_two_images_of_one_stem(disc_folder):
    Image.new("L", (56, 48)).save(disc_folder / "images" / "disc0.bmp")
    with pytest.raises(DataError, match=r"have one name: got disc0.bmp and disc0.png"):
        load(disc_folder)


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

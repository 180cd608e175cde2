"""Labels appear whole, and what was written before a kill is not written again."""

import numpy as np
import pytest

from unetrt.data import IGNORED, read_image, write_image
from unetrt.data.writing import LabelFile, overlay, panels
from unetrt.errors import BadInput, OutputError

LABELS = np.random.default_rng(0).integers(0, 3, (2500, 70)).astype(np.uint8)
MADE_FROM = {"artifact": "1" * 64}
IMAGE = np.arange(12, dtype=np.uint16).reshape(3, 4, 1) * 1000


def test_what_is_written_reads_back(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_image(tmp_path / "new" / "label.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "label.png")[:, :, 0], pixels)


@pytest.fixture(params=[".npy", ".zarr"])
def path(request, tmp_path):
    if request.param == ".zarr":
        pytest.importorskip("zarr")
    return tmp_path / f"labels{request.param}"


def _read(path):
    if path.suffix == ".npy":
        return np.load(path)
    import zarr

    return zarr.open_array(path, mode="r")[:]


def _opened(path, **changes):
    return LabelFile(path, *LABELS.shape, made_from=MADE_FROM | changes)


def test_rows_of_any_count_make_the_whole(path):
    labels = _opened(path)
    for top, end in ((0, 3), (3, 1500), (1500, 1501), (1501, 2500)):
        assert labels.next_row == top
        labels.append(LABELS[top:end])
        assert not path.exists()
    labels.finish()
    np.testing.assert_array_equal(_read(path), LABELS)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_run_that_was_killed_is_resumed(path):
    labels = _opened(path)
    labels.append(LABELS[:1300])
    again = _opened(path)
    assert again.done == again.next_row == 1024  # whole chunks
    again.append(LABELS[1024:])
    again.finish()
    np.testing.assert_array_equal(_read(path), LABELS)


def test_labels_of_something_else_are_begun_again(path):
    _opened(path).append(LABELS[:2048])
    assert _opened(path, artifact="2" * 64).done == 0


def test_an_old_file_stays_until_the_new_one_is_whole(path):
    first = _opened(path)
    first.append(LABELS)
    first.finish()
    second = _opened(path)
    second.append(LABELS[:2048] * 0)
    np.testing.assert_array_equal(_read(path), LABELS)
    second.append(LABELS[2048:] * 0)
    second.finish()
    assert not _read(path).any()


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"got \.png, expected \.zarr or \.npy"):
        LabelFile(tmp_path / "a.png", 4, 4, made_from={})


def test_a_full_disk_says_where_it_will_resume(tmp_path, monkeypatch):
    labels = _opened(tmp_path / "a.npy")
    labels.append(LABELS[:1100])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labels._store, "write", full)
    with pytest.raises(OutputError, match="No space left.*resumes after row 1024"):
        labels.append(LABELS[1100:2200])
    assert _opened(tmp_path / "a.npy").done == 1024


def test_classes_tint_their_pixels_and_no_others():
    label = np.zeros((3, 4), np.uint8)
    label[0, 0], label[1, 1], label[2, 2] = 1, 2, IGNORED
    plain, tinted = overlay(IMAGE), overlay(IMAGE, label)
    changed = (plain != tinted).any(axis=-1)
    assert changed.tolist() == ((label > 0) & (label != IGNORED)).tolist()
    assert (tinted[0, 0] != tinted[1, 1]).any()


def test_three_pictures_stand_side_by_side():
    label = np.ones((3, 4), np.uint8)
    assert panels(IMAGE, label, label).shape == (3, 3 * 4 + 2 * 4, 3)


def test_eight_channels_are_shown_as_their_mean_each_stretched_by_itself():
    ramp = np.linspace(0, 1, 400).reshape(20, 20)
    image = np.stack([1000 * ramp if k % 2 else 1 - ramp for k in range(8)], axis=-1)
    shown = overlay(image)
    assert shown.shape == (20, 20, 3)
    assert abs(shown.astype(int) - 127).max() <= 2  # rising and falling ramps cancel

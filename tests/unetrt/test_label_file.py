"""Labels appear whole, and what was written before a kill is not written again."""

import numpy as np
import pytest

from unetrt.data.large_image import LabelFile
from unetrt.errors import BadInput, OutputError

LABELS = np.random.default_rng(0).integers(0, 3, (2500, 70)).astype(np.uint8)
MADE_FROM = {"artifact": "1" * 64}


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


def test_a_run_that_was_killed_is_gone_on_with(path):
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


def test_a_full_disk_says_where_it_will_go_on(tmp_path, monkeypatch):
    labels = _opened(tmp_path / "a.npy")
    labels.append(LABELS[:1100])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labels._store, "write", full)
    with pytest.raises(OutputError, match="No space left.*goes on after row 1024"):
        labels.append(LABELS[1100:2200])
    assert _opened(tmp_path / "a.npy").done == 1024

"""Caches are kept by version and GPU, where the user says, and are never worth a failure."""

from pathlib import Path

from unetrt.caches import cache_file, cache_folder, read_cache, write_cache
from unetrt.gpu import Gpu

GPU = Gpu("NVIDIA H100 80GB HBM3", "9.0", "13.0")


def file(version="10.12.0", gpu=GPU):
    return cache_file("timing", backend="tensorrt", version=version, gpu=gpu)


def test_the_folder_is_the_users_choice(monkeypatch):
    monkeypatch.setenv("UNETRT_CACHE", "/own")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("UNETRT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/unetrt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/unetrt")


def test_another_version_gpu_or_driver_has_another_file():
    others = [file("11.0.0")]
    others += [file(gpu=Gpu(GPU.name, "9.0", driver)) for driver in ("12.4", "13.0")]
    others += [file(gpu=Gpu("NVIDIA ../L4", "8.9", "13.0"))]
    assert len(set(others)) == 4
    assert all(path.parent.parent == cache_folder() for path in others)


def test_what_was_written_is_read_and_what_is_not_there_is_nothing(tmp_path):
    path = tmp_path / "a" / "b.timing"
    assert read_cache(path) == b""
    assert write_cache(path, b"learnt") is None
    assert read_cache(path) == b"learnt"


def test_a_place_that_cannot_be_written_is_told_and_no_error(tmp_path):
    (tmp_path / "a").write_text("a file")
    told = write_cache(tmp_path / "a" / "b.timing", b"learnt")
    assert told is not None
    assert told.startswith("The cache was not kept. Cannot write")

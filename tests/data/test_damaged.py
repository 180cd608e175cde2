"""Whatever a reader's library raises on a damaged file, the reader raises one DataError."""

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import png
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unetrt import vendor
from unetrt.data.reading import open_image_file, read_image, read_pages
from unetrt.errors import DataError

KEPT = sorted((Path(__file__).parent / "damaged").iterdir())
WITHOUT_CODEC = [path for path in KEPT if "no_codec" in path.name]
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (24, 33)).astype(np.uint8)
COLOUR = RANDOM.integers(0, 256, (24, 33, 3)).astype(np.uint8)
DEEP = RANDOM.integers(0, 1 << 16, (24, 33, 3)).astype(np.uint16)


def complaints(path):
    """Return the sentences of every reader that refuses the file; anything else goes through."""
    found = []

    def parts():
        image = open_image_file(path)
        if image is not None:
            image[0 : min(image.shape[0], 64), 0 : min(image.shape[1], 64)]

    for read in (lambda: read_image(path), lambda: read_pages(path), parts):
        try:
            read()
        except DataError as error:
            found.append(str(error))
    for sentence in found:
        assert str(path) in sentence
        assert sentence.isprintable()
        assert sentence.endswith(".")
        assert not sentence.endswith("..")
        assert len(sentence) < len(str(path)) * 3 + 500
    return found


def nifti(path):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(np.stack([GREY] * 3), np.eye(4)), path)


def archive(path):
    with path.open("wb") as file:
        np.savez(file, a=GREY)


def stack(path, **options):
    tifffile.imwrite(path, np.stack([GREY] * 3), photometric="minisblack", **options)


WRITERS = {
    "grey.png": lambda path: Image.fromarray(GREY).save(path),
    "palette.png": lambda path: Image.fromarray(COLOUR).quantize(16).save(path),
    "deep.png": lambda path: png.from_array(DEEP.reshape(24, -1), "RGB;16").save(path),
    "photo.jpg": lambda path: Image.fromarray(COLOUR).save(path),
    "turned.jpg": lambda path: Image.fromarray(COLOUR).save(path, exif=turned(6)),
    "grey.bmp": lambda path: Image.fromarray(GREY).save(path),
    "plain.tif": lambda path: tifffile.imwrite(path, GREY),
    "deep.tif": lambda path: tifffile.imwrite(path, DEEP, photometric="rgb", compression="zlib"),
    "tiles.tif": lambda path: tifffile.imwrite(path, DEEP, photometric="rgb", tile=(16, 16)),
    "lzw.tif": lambda path: Image.fromarray(GREY).save(path, compression="tiff_lzw"),
    "stack.tif": stack,
    "zipped.tif": lambda path: stack(path, compression="zlib"),
    "big.tif": lambda path: stack(path, bigtiff=True, byteorder=">"),
    "grey.npy": lambda path: np.save(path, GREY),
    "pages.npy": lambda path: np.save(path, np.stack([GREY.astype(np.float32)] * 3)),
    "volume.nii": nifti,
    "volume.nii.gz": nifti,
}


def turned(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a file of each kind, by name."""
    folder = tmp_path_factory.mktemp("whole")
    for name, write in WRITERS.items():
        write(folder / name)
    return {name: (folder / name).read_bytes() for name in WRITERS}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_a_file_that_once_raised_something_else_is_refused_in_one_sentence(path):
    # With its codec installed, the file of a rare compression is read.
    assert complaints(path) or (path in WITHOUT_CODEC and vendor.installed("imagecodecs"))


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_at_any_tenth_is_refused_in_one_sentence(whole, tmp_path, name):
    assert read_pages(save(tmp_path / name, whole[name]))
    for tenth in range(10):
        kept = whole[name][: len(whole[name]) * tenth // 10]
        assert complaints(save(tmp_path / f"{tenth}{name}", kept)), tenth


def save(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_bytes_changed_anywhere_raise_nothing_else(whole, tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("changed")
    # Half of the changes lie in the first 256 bytes, where headers are.
    places = st.integers(0, len(whole[name]) - 1) | st.integers(0, min(255, len(whole[name]) - 1))
    values = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)

    @settings(max_examples=40)
    @given(st.lists(st.tuples(places, values), min_size=1, max_size=4))
    def change(changes):
        content = bytearray(whole[name])
        for place, value in changes:
            content[place] = value
        complaints(save(folder / name, bytes(content)))

    change()


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width, height, pixels=b"", *, bits=8, colour=0):
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def npy_of(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


LIES = {
    "nothing.png": b"",
    "nothing.tif": b"",
    "nothing.npy": b"",
    "nothing.nii": b"",
    "text.jpg": b"not an image",
    "wide.png": png_of(30000, 30000),
    "deep and wide.png": png_of(1 << 30, 1 << 30, bits=16, colour=2),
    "few rows.png": png_of(20, 20, b"\0" * 40, bits=16, colour=2),
    "no type.npy": npy_of("{'descr': '<u9', 'fortran_order': False, 'shape': (4, 4)}"),
    "no brackets.npy": npy_of("{'descr': '|u1', 'shape': (4, 4"),
    "another key.npy": npy_of("{'descr': '|u1', 'fortran_order': False, 'size': (4, 4)}"),
    "endless.npy": npy_of("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9, 10**9)}"),
    "wide.npy": npy_of(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**9}, {10**9})}}"),
    "negative.npy": npy_of("{'descr': '|u1', 'fortran_order': False, 'shape': (-4, -4)}"),
    "pages to itself.tif": b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0",
    "no pages.tif": b"II*\0\0\0\0\0",
    "text.nii.gz": b"no volume",
    "zeros.nii.gz": gzip.compress(bytes(1000)),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused_in_one_sentence(tmp_path, name):
    if ".nii" in name:
        pytest.importorskip("nibabel")
    assert complaints(save(tmp_path / name, LIES[name]))


def test_several_arrays_and_objects_in_an_npy_file_are_refused(tmp_path):
    archive(tmp_path / "a.npy")
    assert "no NPY header" in complaints(tmp_path / "a.npy")[0]
    np.save(tmp_path / "o.npy", np.array([[{}]]), allow_pickle=True)
    assert complaints(tmp_path / "o.npy")


@pytest.mark.skipif(vendor.installed("imagecodecs"), reason="it decodes them")
@pytest.mark.parametrize("path", WITHOUT_CODEC, ids=lambda path: path.name)
def test_a_compression_without_its_package_says_what_to_install(path):
    with pytest.raises(DataError, match="install imagecodecs, or save it uncompressed"):
        read_image(path)


@pytest.mark.parametrize("error", [AssertionError(), RecursionError("too\ndeep"), KeyError(0)])
def test_what_no_file_here_raises_is_a_sentence_too(tmp_path, monkeypatch, error):
    def fail(*_args, **_options):
        raise error

    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", fail)
    (sentence, _) = complaints(tmp_path / "a.png")
    assert f"got {type(error).__name__}" in sentence


def test_an_interruption_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def stop(*_args, **_options):
        raise KeyboardInterrupt

    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", stop)
    with pytest.raises(KeyboardInterrupt):
        read_image(tmp_path / "a.png")


def test_a_pipe_and_a_folder_are_refused_and_not_waited_for(tmp_path):
    for name in ("pipe.png", "pipe.tif", "pipe.npy", "pipe.nii"):
        os.mkfifo(tmp_path / name)
        assert "got a pipe or device, expected a file" in complaints(tmp_path / name)[0]
    (tmp_path / "folder.png").mkdir()
    assert "got a folder, expected a file" in complaints(tmp_path / "folder.png")[0]
    with pytest.raises(DataError, match=r"no\.png: got No such file or directory"):
        read_image(tmp_path / "no.png")


@pytest.mark.parametrize("broken", ["zarr.json", "c/0/0"])
def test_a_damaged_zarr_array_is_refused_where_it_is_damaged(tmp_path, broken):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "a.zarr", shape=(24, 33), chunks=(24, 33), dtype="u1")[:] = GREY
    path = tmp_path / "a.zarr" / broken
    for content in (b"", b"{}", b"[]", b"\xff" * 40, path.read_bytes()[:-20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"Cannot read .*a\.zarr: got .*[^.]\.$"):
            open_image_file(tmp_path / "a.zarr")[0:24, 0:33]

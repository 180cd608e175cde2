import pytest

from unetrt.errors import OutputError
from unetrt.files import Closing, output_folder, replacing, write_bytes


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_bytes(b"half of the new")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_an_output_error(tmp_path):
    target = tmp_path / "model.onnx"
    with pytest.raises(OutputError, match="Cannot write .*model.onnx"), replacing(target):
        raise OSError(28, "No space left on device")


def test_writing_into_a_file_as_if_it_were_a_folder_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="got a file, expected a folder"):
        output_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="Cannot write"):
        write_bytes(tmp_path / "file" / "inside", b"x")


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with replacing(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_bytes(b"")


class Door(Closing):
    closed = False

    def close(self):
        self.closed = True


def test_the_block_gives_it_and_closes_it_even_after_an_error():
    door = Door()
    with pytest.raises(ValueError, match="draught"), door as entered:
        assert entered is door
        raise ValueError("draught")
    assert door.closed


def test_a_class_without_a_close_is_a_mistake():
    with pytest.raises(TypeError, match="Closing has nothing to close"), Closing():
        pass

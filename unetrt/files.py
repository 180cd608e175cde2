"""Write files whole or not at all, and close what was opened."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from unetrt.errors import OutputError

__all__ = [
    "Closing",
    "output_folder",
    "refuse_overwriting",
    "replacing",
    "sha256_of",
    "write_bytes",
    "write_text",
]


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success it takes `path`'s place, on failure it goes.

    A process killed inside the block leaves the old file, or none. The temporary name keeps the
    suffix, since savers such as Keras choose the format by it.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.

    Example:
        >>> with replacing(Path("notes.txt")) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> Path("notes.txt").read_text()
        'whole'
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}",
            got=error.strerror or str(error),
            hint="choose a folder that exists, can be written and has space",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text to `path`, whole or not at all."""
    write_bytes(path, content.encode())


def output_folder(path: Path) -> Path:
    """Make sure that `path` is a folder that can be written, before any work is spent on it.

    Raises:
        OutputError: it is a file, or cannot be made or written.
    """
    try:
        if path.exists() and not path.is_dir():
            raise OutputError(
                f"Cannot write into {path}", got="a file", expected="a folder or a new name"
            )
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(
            f"Cannot write into {path}",
            got=error.strerror or str(error),
            hint="choose another folder",
        ) from error
    return path


def refuse_overwriting(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, before any work is spent on it.

    Args:
        outputs: files or folders that would be written; most do not exist.
        inputs: files or folders that are read. They are known by their contents' place on the
            disk, not by name, so that links are seen through.

    Raises:
        OutputError: one of `outputs` is one of `inputs`.

    Example:
        >>> refuse_overwriting([Path("new.onnx")], [Path("model.onnx")])
        >>> refuse_overwriting([Path("model.onnx")], [Path("model.onnx")])
        Traceback (most recent call last):
            ...
        unetrt.errors.OutputError: Cannot write model.onnx: got what is read as model.onnx, expected
        another file; choose another place for the output.
    """
    read = {place: path for path in inputs if (place := _place(path)) is not None}
    for path in outputs:
        source = read.get(_place(path) or ())
        if source is not None:
            raise OutputError(
                f"Cannot write {path}",
                got=f"what is read as {source}",
                expected="another file",
                hint="choose another place for the output",
            )


def _place(path: Path) -> tuple[int, ...] | None:
    try:
        # Resolved, since a/new/.. is a folder only once a/new was made.
        found = path.resolve().stat()
    except (OSError, RuntimeError):  # the latter, of links in a circle
        return None
    return found.st_dev, found.st_ino


class Closing:
    """Make a class that has a `close` the context manager of itself."""

    __slots__ = ()

    def close(self) -> None:
        """Release what it holds."""
        raise TypeError(f"{type(self).__name__} has nothing to close")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

"""Reading and writing beside the network: what goes in comes out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from unetrt.errors import OutputError, UnetrtError

__all__ = ["pipelined"]

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")
Written = TypeVar("Written")

_AHEAD = 4
"""Items read before their turn, and items made that wait to be written: memory is bounded."""


def pipelined(
    items: Iterable[Item],
    *,
    read: Callable[[Item], Read],
    work: Callable[[Read], Made],
    write: Callable[[Made], Written],
) -> Iterator[tuple[Item, Written | UnetrtError]]:
    """Read, work on and write each item; yield it with what `write` returned, in order.

    `work` runs in the caller's thread, `read` and `write` in others. An item that fails is yielded
    with its error and does not stop the rest, but for a place that cannot be written.

    Raises:
        OutputError: `write` could not.
    """
    with ThreadPoolExecutor(2, "unetrt") as pool:
        coming = iter(items)
        reading: deque[tuple[Item, Future[Read]]] = deque()
        writing: deque[tuple[Item, Future[Written] | UnetrtError]] = deque()

        try:
            while True:
                for item in islice(coming, _AHEAD - len(reading)):
                    reading.append((item, pool.submit(read, item)))
                if not reading:
                    break
                item, future = reading.popleft()
                try:
                    writing.append((item, pool.submit(write, work(future.result()))))
                except UnetrtError as error:
                    writing.append((item, error))
                while len(writing) > _AHEAD:
                    yield _finished(*writing.popleft())
            while writing:
                yield _finished(*writing.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(item: Item, result: Future[Any] | UnetrtError) -> tuple[Item, Any]:
    if isinstance(result, UnetrtError):
        return item, result
    try:
        return item, result.result()
    except OutputError:
        raise
    except UnetrtError as error:
        return item, error

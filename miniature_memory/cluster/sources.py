"""Sources: the files that are read, from folders, S3 and whatever else fsspec knows, in one order."""

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from miniature_memory.cluster.job import Source
from miniature_memory.core.errors import StageError
from miniature_memory.core.paths import unreadable
from miniature_memory.extraction.file_kinds import ENDINGS, ending_of, is_hidden, read_safely, read_text
from miniature_memory.extraction.inputs import files_in, read_file
from miniature_memory.extraction.reading import Input, address_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 8 << 20  # that are read from a remote file at once


def is_remote(address: str) -> bool:
    return "://" in address


def list_sources(inputs: Iterable[str]) -> Iterator[Source]:
    """The files of all inputs: in the order in which they are named, within folders in that of extract.py --import."""
    for one in inputs:
        if is_remote(one):
            yield from _list_remote(one)
            continue
        path = Path(one).absolute()
        try:
            files, named = (files_in(path), False) if path.is_dir() else (iter([path]), True)
            yield from (Source(str(file), file.stat().st_size, named) for file in files)
        except OSError as error:
            raise unreadable(path, error, "a file or folder") from None


def _list_remote(address: str) -> Iterator[Source]:
    try:
        system, root = _file_system(address)
        if not system.isdir(root):
            yield Source(address, int(system.size(root) or 0), True)
            return
        for parent, folders, files in system.walk(root, detail=True):
            for name in [name for name in folders if is_hidden(name)]:
                del folders[name]
            for name in sorted(folders):  # the walk goes on in this order
                folders[name] = folders.pop(name)
            for name in sorted(name for name in files if not is_hidden(name)):
                place = f"{parent.rstrip('/')}/{name}"[len(root.rstrip("/")):]
                yield Source(address.rstrip("/") + place, int(files[name].get("size") or 0), False)
    except StageError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise _unreachable(address, error) from None


def _file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it. S3 is read by pyarrow, which needs no package of Amazon's."""
    import fsspec

    if address.startswith("s3://"):
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow import fs

        system, path = fs.FileSystem.from_uri(address)
        return ArrowFSWrapper(system), path
    return fsspec.core.url_to_fs(address)  # type: ignore[no-any-return]


def _unreachable(address: str, error: Exception) -> StageError:
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return StageError(f"{address} cannot be read ({what}).", "a file or folder that this machine may read.",
                      "check the address, the network and the keys of the storage, then run the same command again.")


def read_source(source: Source) -> Iterator[Input]:
    """What is in one file. Damage is a reason, as with extract.py --import; a network that fails is a StageError."""
    name = PurePosixPath(source.address).name
    if not source.named and ending_of(name) not in ENDINGS:
        yield Input(source.address if is_remote(source.address) else address_of(Path(source.address)), "", None,
                    source=source.address, reason="unknown_kind")
    elif not is_remote(source.address):
        yield from read_file(Path(source.address), in_folder=not source.named)
    else:
        origin = Input(source.address, "", None, title=PurePosixPath(name).stem, source=source.address)
        with _opened(source) as stream:
            yield from read_safely(ENDINGS.get(ending_of(name), read_text), stream, origin)


def _opened(source: Source) -> BinaryIO:
    try:
        system, path = _file_system(source.address)
        stream = io.BufferedReader(_Remote(source.address, system.open(path, "rb")), BLOCK_BYTES)
    except Exception as error:
        raise _unreachable(source.address, error) from None
    if ending_of(source.address) != ".parquet":
        return stream
    local = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it): a process of its own reads it
    with stream:
        shutil.copyfileobj(stream, local, BLOCK_BYTES)
    local.seek(0)
    return local


class _Remote(io.RawIOBase):
    """A remote file whose errors are told apart from damage in it."""

    def __init__(self, address: str, stream: Any) -> None:
        self.address, self.stream = address, stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        try:
            data = self.stream.read(len(view))
        except Exception as error:
            raise _unreachable(self.address, error) from None
        view[:len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self.stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self.stream.tell())

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
        super().close()

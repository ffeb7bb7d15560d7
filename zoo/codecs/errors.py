"""The one error that codecs raise, and the file access that raises nothing else."""

import os
import stat
import uuid
from contextlib import suppress

Path = str | os.PathLike[str]

META_KEY = "zoo"  # a file's text that is {META_KEY: {...}} in JSON tells how the file was made


class CodecError(ValueError):
    """A thing that cannot be read, written, encoded or decoded. ``str`` of it is one line: "FILE: cause".

    ``path``: the file, or the name of what was given where there is no file ("notes", "tokens").
    ``cause``: what is wrong with it; of an exception, its message.
    """

    def __init__(self, path: Path, cause: str | BaseException):
        text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        self.path = os.fspath(path)
        self.cause = " ".join(text.split()) or type(cause).__name__
        super().__init__(self.path, self.cause)

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}"


def read_bytes(path: Path, *, limit: int) -> bytes:
    """The whole of a regular file of at most ``limit`` bytes; a pipe or a device, which could block, is refused."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        data = b""
        if regular:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise CodecError(path, error) from None
    if not regular:
        raise CodecError(path, "not a regular file")
    if len(data) > limit:
        raise CodecError(path, f"larger than {limit:,} bytes")
    return data


def write_bytes(path: Path, data: bytes) -> None:
    """Writes beside ``path`` and renames: whoever looks sees the old file or the new one, never half of it."""
    part = os.path.join(os.path.dirname(os.fspath(path)), f".{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        raise CodecError(path, error) from None
    finally:
        with suppress(OSError, ValueError):
            os.unlink(part)  # gone already when all went well

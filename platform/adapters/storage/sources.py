"""Files that are put into a store: what a job left may be a trap."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from foundation.errors import Invalid


def open_regular(path: Path) -> BinaryIO:
    """A regular file, opened for reading. Raises Invalid "storage.source" for a link, pipe or device, so that
    nobody's program makes us read what it could not read itself."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _no_file(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return os.fdopen(descriptor, "rb")


def _no_file(path: Path) -> Invalid:
    return Invalid("storage.source", f"'{path.name}' is no regular file and is not kept.")

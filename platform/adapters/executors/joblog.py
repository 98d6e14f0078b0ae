"""The log of a program: whatever bytes it prints, as a readable text file of bounded size."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections import deque
from pathlib import Path

MAX_LINE = 16 * 1024
TAIL_CHARACTERS = 64 * 1024
DEFAULT_LIMIT = 20 * 1024 * 1024
# Of a line that rewrites itself (a progress bar) one state is kept in so many seconds, and the last one.
STATE_SECONDS = 0.5
_ENDS = re.compile(r"([\r\n])")


class LogWriter:
    """Appends bytes to a UTF-8 file: what is not UTF-8 becomes U+FFFD, NUL is dropped, a line is cut after
    MAX_LINE characters, of a line that rewrites itself a state is kept now and then, and after `limit` bytes
    only the last TAIL_CHARACTERS are kept for the end.

    The file is opened without following links; its final size may exceed `limit` by that tail and a note.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(path, flags, 0o600)
        self.limit = DEFAULT_LIMIT if limit is None else limit
        self.written = os.fstat(self.descriptor).st_size
        self.left_out = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._column = 0
        self._cut = 0
        self._tail: deque[str] = deque()
        self._tail_length = 0
        self._state = ""
        self._state_at = -STATE_SECONDS

    def write(self, data: bytes, *, final: bool = False) -> None:
        """Append raw output of the program."""
        text = self._decoder.decode(data, final).replace("\x00", "")
        if "\r" in text and "\n" not in text and not final:
            now = time.monotonic()
            if now - self._state_at < STATE_SECONDS:
                self._state = text  # what the line said before is overwritten
                return
            self._state_at = now
        text, self._state = self._state + text, ""
        if text:
            self._emit(self._cut_lines(text))

    def settle(self) -> None:
        """Write the last state of a line that rewrites itself: nothing has followed for a while."""
        if self._state and time.monotonic() - self._state_at >= STATE_SECONDS / 2:
            self._state_out()

    def _state_out(self) -> None:
        text, self._state = self._state, ""
        if text:
            self._emit(self._cut_lines(text))

    def note(self, sentence: str) -> None:
        """Append a line of our own, on a line of its own, whatever the limit says."""
        self._state_out()
        lead = "\n" if self._column else ""
        self._column = self._cut = 0
        self._put(f"{lead}{sentence}\n")

    def close(self) -> None:
        """Write what was held back and close the file."""
        if self.descriptor < 0:
            return
        self.write(b"", final=True)
        if self._cut:
            self._emit(self._end_line())
        if self._tail_length:
            skipped = self.left_out - self._tail_length
            self.note(f"[… {max(0, skipped):,} characters left out: the log had reached its limit …]")
            self._put("".join(self._tail))
        os.close(self.descriptor)
        self.descriptor = -1

    def _cut_lines(self, text: str) -> str:
        if not self._cut and self._column + len(text) <= MAX_LINE:  # no line in it can be too long
            last = max(text.rfind("\n"), text.rfind("\r"))
            self._column = self._column + len(text) if last < 0 else len(text) - last - 1
            return text
        if "\r" not in text:
            *lines, rest = text.split("\n")
            return "".join([self._keep(line) + self._end_line() for line in lines]) + self._keep(rest)
        *parts, rest = _ENDS.split(text)  # in turns: what stands between, and the end of it
        kept = [
            self._keep(part) + self._end_line(end) for part, end in zip(parts[::2], parts[1::2], strict=True)
        ]
        return "".join(kept) + self._keep(rest)

    def _keep(self, piece: str) -> str:
        kept = piece[: MAX_LINE - self._column]
        self._column += len(kept)
        self._cut += len(piece) - len(kept)
        return kept

    def _end_line(self, end: str = "\n") -> str:
        note = f" [… {self._cut:,} characters of this line left out]" if self._cut else ""
        self._column = self._cut = 0
        return note + end

    def _emit(self, text: str) -> None:
        if not self._tail_length and not self.left_out:
            encoded_limit = self.limit - self.written
            if len(text) * 4 <= encoded_limit or len(text.encode("utf-8", "replace")) <= encoded_limit:
                self._put(text)
                return
        self.left_out += len(text)
        self._tail.append(text)
        self._tail_length += len(text)
        while self._tail_length - len(self._tail[0]) >= TAIL_CHARACTERS:
            self._tail_length -= len(self._tail.popleft())

    def _put(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        self.written += len(data)
        while data:
            try:
                data = data[os.write(self.descriptor, data) :]
            except OSError:
                return  # a full disk must not kill the nanny; the watchdog or the program will tell

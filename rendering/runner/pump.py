"""Reads lines from a pipe without ever blocking its writer or its reader."""

import os
from collections.abc import Callable

BLOCK = 1 << 16
MAX_LINE = 8192
MAX_REST = 1 << 20  # the most that a pipe holds (fcntl(2), F_SETPIPE_SZ, without privileges)


class Pump:
    """Turns the blocks that come out of a pipe into lines. A carriage return ends a line, too: bars are drawn so."""

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor, self.on_line = descriptor, on_line
        self.rest = b""
        self.is_open = True

    def read(self) -> int:
        """Hand on what is there; how many bytes were."""
        try:
            block = os.read(self.descriptor, BLOCK)
        except BlockingIOError:
            return 0
        if not block:
            self.is_open = False
            return 0
        data = self.rest + block
        if b"\r" in data:
            # The second half of a line's end may still be on its way.
            cut = len(data) - data.endswith(b"\r")
            data = data[:cut].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + data[cut:]
        *lines, self.rest = data.split(b"\n")
        for line in lines:
            self.emit(line)
        if len(self.rest) > MAX_LINE:
            self.emit(self.rest)
            self.rest = b""
        return len(block)

    def drain(self) -> None:
        """Hand on what was written before the writer ended. Somebody else may hold the pipe and write on for ever."""
        left = MAX_REST
        while self.is_open and left > 0 and (size := self.read()):
            left -= size
        if self.rest:
            self.emit(self.rest)
            self.rest = b""

    def emit(self, line: bytes) -> None:
        # PostgreSQL keeps no NUL, and a log line is not worth an attempt.
        self.on_line(line[:MAX_LINE].decode("utf-8", "replace").rstrip("\r").replace("\0", "\ufffd"))

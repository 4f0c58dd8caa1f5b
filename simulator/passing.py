"""A clock that can be put on: days pass at once, for us and for whoever reads the same file."""

import time
from pathlib import Path


class Clock:
    """The system's time and as many seconds more as the file says; without a file none, and none can be added."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._ahead_s = int(file.read_text("utf-8")) if file and file.exists() else 0

    def __call__(self) -> float:
        return time.time() + self._ahead_s

    def put_on(self, seconds: int) -> None:
        """Let that much time pass. ValueError says why it cannot."""
        if self._file is None:
            raise ValueError("This stand-in was started without --clock-file: its time passes by itself only.")
        if seconds < 1:
            raise ValueError("seconds is a whole number from 1: time passes forward.")
        self._ahead_s += seconds
        draft = self._file.with_suffix(".draft")
        draft.write_text(str(self._ahead_s), "utf-8")
        draft.replace(self._file)

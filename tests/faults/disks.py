"""Small disks that can be full: file systems in memory, made smaller than what they hold would need."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGE_BYTES = 3 * 1024**3
"""Room of a disk that is not full. Memory is taken only for what is written."""
STEP_BYTES = 64 * 1024


def why_not() -> str:
    """Why no disk can be mounted here; empty when one can."""
    with tempfile.TemporaryDirectory(prefix="coexist-faults-mount-") as folder:
        tried = _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        if tried.returncode:
            return f"mounting a small file system is not permitted here: {tried.stderr.strip()}"
        subprocess.run(["umount", folder], check=True)
    return ""


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """``folder`` is a disk of its own inside the block; afterwards it is gone, with what it held."""
    folder.mkdir(parents=True, exist_ok=True)
    tried = _mount("-t", "tmpfs", "-o", f"size={LARGE_BYTES},mode=0711", "tmpfs", str(folder))
    if tried.returncode:
        raise OSError(tried.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Make the disk as small as what it holds: the next byte beyond finds no space left on the device."""
    for spare in range(100):  # somebody may be writing just now
        if not _resize(folder, _used_bytes(folder) + (1 + spare) * STEP_BYTES).returncode:
            return
    raise OSError(f"{folder} could not be filled")


def make_room(folder: Path) -> None:
    """Give the disk its room back."""
    tried = _resize(folder, LARGE_BYTES)
    if tried.returncode:
        raise OSError(tried.stderr.strip())


def _used_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _resize(folder: Path, size_bytes: int) -> subprocess.CompletedProcess[str]:
    return _mount("-o", f"remount,size={size_bytes}", str(folder))


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(["mount"], 127, "", "there is no mount command")

"""Small disks that can be filled: real file systems, where the machine lets them be mounted."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path


def mount(folder: Path, size: str) -> bool:
    """Mount an empty file system of a size ("24m") on a folder; False where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all room but `leave` bytes; called again, it takes what became free."""
    file = folder / "ballast"
    with file.open("ab", buffering=0) as stream:
        while (room := _room(folder) - leave) > 0:
            try:
                stream.write(bytes(min(room, 1 << 20)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return file


def _room(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize

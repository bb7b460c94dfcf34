"""File systems of a given size in memory, where root may mount one."""

import contextlib
import os
import subprocess
import tempfile


def _call(*words):
    """Runs a program quietly; returns whether it succeeded."""
    try:
        return subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


class Disk:
    """A mounted file system, which a block has; it is gone at the end."""

    def __init__(self, folder, num_bytes):
        """Names what is mounted at the start of the block.

        Args:
          folder: path, which is made.
          num_bytes: size; the kernel rounds it up to pages.
        """
        self._folder, self._num_bytes = folder, num_bytes

    def __enter__(self):
        os.makedirs(self._folder, exist_ok=True)
        if not _call("mount", "-t", "tmpfs", "-o", self._size, "chaos", self._folder):
            raise OSError(f"{self._folder}: no tmpfs can be mounted there")
        return self

    def __exit__(self, *_):
        _call("umount", "-l", self._folder)

    @property
    def _size(self):
        return f"size={max(self._num_bytes, 1)}"

    def resize(self, num_bytes):
        """Changes the size."""
        self._num_bytes = num_bytes
        _call("mount", "-o", f"remount,{self._size}", self._folder)


def can_mount():
    """Returns whether this process may mount a file system."""
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as folder, Disk(
        folder, 4096
    ):
        return True
    return False

"""Changes in a folder, told by the kernel as they happen (Linux's inotify)."""

import ctypes
import os
import select
import struct
import time

# Bits of <sys/inotify.h>. Modifications do not count: there is one for each write.
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x8, 0x40, 0x80
_CREATE, _DELETE, _IS_FOLDER = 0x100, 0x200, 0x40000000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_HEADER = struct.Struct("iIII")
_POLL_SECONDS = 0.01

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Counts the files that are made, written, renamed and deleted in a folder.

    num_changes: int, so far.
    first_at: seconds from the start to the first change, or None.
    """

    def __init__(self, folder):
        self._folders = {}
        self.num_changes, self.first_at = 0, None
        self._began = time.monotonic()
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._add(folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._fd)

    @property
    def seconds(self):
        """Seconds since the watch began."""
        return time.monotonic() - self._began

    def wait(self, process, num_changes=None, seconds=None):
        """Waits until so much has changed, so many seconds have passed, or the end.

        Args:
          process: `Process`; nothing more is waited for when it has ended.
          num_changes: (optional) changes since the watch began.
          seconds: (optional) since the watch began.

        Returns:
          bool, whether the process still runs.
        """
        while process.is_running():
            self._read()
            if num_changes is not None and self.num_changes >= num_changes:
                return True
            if seconds is not None and self.seconds >= seconds:
                return True
            select.select([self._fd], [], [], _POLL_SECONDS)
        self._read()
        return False

    def _add(self, folder):
        number = _libc.inotify_add_watch(self._fd, os.fsencode(folder), _MASK)
        if number >= 0:  # else it is gone already
            self._folders[number] = folder

    def _read(self):
        try:
            block = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        if self.first_at is None:
            self.first_at = self.seconds
        while block:
            number, mask, _, length = _HEADER.unpack_from(block)
            name = block[_HEADER.size : _HEADER.size + length].rstrip(b"\0")
            block = block[_HEADER.size + length :]
            self.num_changes += 1
            if mask & _IS_FOLDER and mask & (_CREATE | _MOVED_TO):
                parent = self._folders.get(number, "")
                self._add(os.path.join(parent, os.fsdecode(name)))

"""Damage to single files, as crashes, full disks, copies and people leave them."""

import ctypes
import os
import random
import shutil

# Capabilities by which root may read and write any file (<linux/capability.h>).
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION = 0x20080522
_PR_CAPBSET_DROP = 24

_libc = ctypes.CDLL(None, use_errno=True)


def _write(path, content):
    with open(path, "wb") as stream:
        stream.write(content)


def _read(path):
    with open(path, "rb") as stream:
        return stream.read()


def _empty(path, rng):
    _write(path, b"")


def _cut(path, rng):
    content = _read(path)
    _write(path, content[: rng.randrange(1, max(len(content), 2))])


def _text(path, rng):
    _write(path, b"this is not what the file should hold\n")


def _binary(path, rng):
    _write(path, bytes(rng.randrange(256) for _ in range(300)))


def _flipped(path, rng):
    content = bytearray(_read(path)) or bytearray(b"\0")
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    _write(path, content)


def _unreadable(path, rng):
    os.chmod(path, 0)


def _missing(path, rng):
    os.remove(path)


def _folder(path, rng):
    os.remove(path)
    os.mkdir(path)


def _dangling(path, rng):
    os.remove(path)
    os.symlink(os.path.join(os.path.dirname(path), "gone", "file"), path)


WAYS = {
    "empty": _empty,
    "cut": _cut,
    "text": _text,
    "binary": _binary,
    "flipped": _flipped,
    "unreadable": _unreadable,
    "missing": _missing,
    "folder": _folder,
    "dangling": _dangling,
}


def damage(path, way):
    """Damages a file; the same path and way make the same damage.

    Args:
      path: of a file; the folders above it may be anywhere.
      way: key of `WAYS`.
    """
    WAYS[way](path, random.Random(f"{os.path.basename(path)} {way}"))


def copy(source, target):
    """Copies a folder, with its times, in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def obey_permissions():
    """Takes the right to read and write any file from a process of root.

    For a new process, before the command starts; without it nothing is unreadable.
    """
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    if _libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    dropped = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH
    for index in range(3):
        sets[index] &= ~dropped
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if _libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")

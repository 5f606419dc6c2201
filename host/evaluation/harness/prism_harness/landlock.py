"""Landlock: a guest reads the interpreter, the libraries, its project; no other file, and writes none.

Works without privileges from Linux 5.13 on. The tree /proc is left out: what the scorer does cannot
be watched from a guest.
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _RULE_PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _IOCTL_DEV = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 15
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many rights each version knows; 16 from version 5 on
_libc = ctypes.CDLL(None, use_errno=True)


def restrict(readable: list[str], devices: list[str]) -> bool:
    """Restricts the calling thread and what it forks; `devices` are nodes that may be written and
    controlled too. False when the kernel has no Landlock."""
    version = _libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    handled_fs = (1 << _FS_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("<Q", handled_fs)
    if version >= 4:
        attributes += struct.pack("<Q", 0b11)  # no TCP bind, no TCP connect
    if version >= 6:
        attributes += struct.pack("<Q", 0b11)  # no abstract sockets, no signals to others
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(ruleset, path, _EXECUTE | _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0))
        for path in devices:
            _allow(ruleset, path, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & handled_fs)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock refused the restriction")
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    try:
        rule = struct.pack("<Qi", rights, fd)
        if _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), "landlock refused a rule")
    finally:
        os.close(fd)

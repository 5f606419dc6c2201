"""A seccomp filter for guests: no new process, no program start, no network, no signal to others,
and none of the calls by which one guest could leave a message for the next (files and directories
made, System V and POSIX queues, keyrings, file locks).

A deny list, because PyTorch needs most other calls. Filters are given for x86-64 and AArch64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_LOAD, _JEQ, _JSET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_AT_NR, _AT_ARCH, _AT_ARGS = 0, 4, 16
_CLONE_THREAD = 0x00010000
_O_CREAT = os.O_CREAT

# name: (x86-64, AArch64); None where the architecture has no such call
_HOT = {"futex": (202, 98), "read": (0, 63), "write": (1, 64), "mmap": (9, 222), "munmap": (11, 215), "madvise": (28, 233),
        "recvfrom": (45, 207), "sendto": (44, 206), "brk": (12, 214), "sched_yield": (24, 124), "poll": (7, None)}
_DENIED = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "process_madvise": (440, 440),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "flock": (73, 32),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "creat": (85, None), "mknod": (133, None), "mknodat": (259, 33),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "unlink": (87, None), "unlinkat": (263, 35),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "truncate": (76, 45),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55), "lchown": (94, None),
    "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
    "setpriority": (141, 140), "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
}
_ABSENT = {"clone3": (435, 435), "openat2": (437, 437), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
           "io_uring_register": (427, 427), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265)}
_OPEN, _OPENAT, _CLONE, _KILL_CALL, _TGKILL = (2, None), (257, 56), (56, 220), (62, 129), (234, 131)
_ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def install() -> bool:
    """Installs the filter for this process. False on an architecture it is not written for."""
    column, arch = _ARCHES.get(platform.machine(), (None, None))
    if arch is None:
        return False
    code = program(column, arch, os.getpid())
    packed = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = struct.pack("@HxxxxxxP", len(code), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, header, 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        return False
    return True


def program(column: int, arch: int, own_pid: int) -> list[tuple[int, int, int, int]]:
    """The filter as classic BPF instructions (operation, jump if true, jump if false, operand)."""
    allow, deny, absent = (_RETURN, 0, 0, _ALLOW), _fail(errno.EPERM), _fail(errno.ENOSYS)
    code = [(_LOAD, 0, 0, _AT_ARCH), (_JEQ, 1, 0, arch), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _AT_NR)]
    if column == 0:
        code += [(_JSET, 0, 1, 0x40000000), deny]  # the x32 numbers of the same calls
    for numbers, answer in ((_HOT, allow), (_DENIED, deny), (_ABSENT, absent)):
        for call in numbers.values():
            if call[column] is not None:
                code += [(_JEQ, 0, 1, call[column]), answer]
    for call, argument, operation, operand, allowed_when_true in (
        (_OPEN, 1, _JSET, _O_CREAT, False),
        (_OPENAT, 2, _JSET, _O_CREAT, False),
        (_CLONE, 0, _JSET, _CLONE_THREAD, True),
        (_KILL_CALL, 0, _JEQ, own_pid, True),
        (_TGKILL, 0, _JEQ, own_pid, True),
    ):
        if call[column] is None:
            continue
        when_true, when_false = (1, 0) if allowed_when_true else (0, 1)  # 0 is the denial that follows
        code += [
            (_JEQ, 0, 4, call[column]),
            (_LOAD, 0, 0, _AT_ARGS + 8 * argument),
            (operation, when_true, when_false, operand),
            deny,
            allow,
        ]
    return code + [allow]


def _fail(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, 0x00050000 | number)

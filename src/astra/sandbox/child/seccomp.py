"""The seccomp allow-list of an episode's process, as a classic BPF program.

Whatever is not listed fails with EPERM: an orderly `PermissionError` in tool code. A system call
of a foreign architecture (32-bit, x32) kills the process. It does not protect against bugs in the
kernel calls that are listed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

ALLOW = 0x7FFF0000
EPERM = 0x00050000 | 1
KILL = 0x80000000

# One table per architecture: what CPython needs to compute, to sleep, to read and write its own
# descriptors, and to end. No file, process, signal, memory-file or set-up calls.
NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9,
        "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
        "rt_sigreturn": 15, "select": 23, "sched_yield": 24, "mremap": 25, "madvise": 28,
        "nanosleep": 35, "getpid": 39, "sendto": 44, "recvfrom": 45, "exit": 60,
        "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "times": 100, "getuid": 102,
        "getgid": 104, "geteuid": 107, "getegid": 108, "sigaltstack": 131, "gettid": 186,
        "time": 201, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
        "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "pselect6": 270,
        "ppoll": 271, "set_robust_list": 273, "prlimit64": 302, "getrandom": 318, "rseq": 334,
    },
    "aarch64": {
        "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222,
        "mprotect": 226, "munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135,
        "rt_sigreturn": 139, "sched_yield": 124, "mremap": 216, "madvise": 233,
        "nanosleep": 101, "getpid": 172, "sendto": 206, "recvfrom": 207, "exit": 93,
        "gettimeofday": 169, "getrlimit": 163, "getrusage": 165, "times": 153, "getuid": 174,
        "getgid": 176, "geteuid": 175, "getegid": 177, "sigaltstack": 132, "gettid": 178,
        "futex": 98, "restart_syscall": 128, "clock_gettime": 113, "clock_getres": 114,
        "clock_nanosleep": 115, "exit_group": 94, "pselect6": 72, "ppoll": 73,
        "set_robust_list": 99, "prlimit64": 261, "getrandom": 278, "rseq": 293,
    },
}  # fmt: skip
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_COPY_TO_X, _ADD_X, _JGE_X = 0x07, 0x0C, 0x3D
_NUMBER, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data
_PROT_EXEC, _MAP_FIXED, _MREMAP_MAYMOVE, _RLIMIT_AS = 4, 0x10, 1, 9
_STATIC_CLOCKS = 16  # clock numbers from here on name the CPU clock of a process, or a device
_X32 = 0x40000000


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, k)


def _low(index: int) -> bytes:
    """Load the low half of a call's argument (both architectures are little-endian)."""
    return _instruction(_LOAD, _ARGS + 8 * index)


def _high(index: int) -> bytes:
    return _instruction(_LOAD, _ARGS + 8 * index + 4)


_REFUSE, _ALLOW = _instruction(_RETURN, EPERM), _instruction(_RETURN, ALLOW)
_REFUSE_EXECUTABLE = [_low(2), _instruction(_JSET, _PROT_EXEC, 0, 1), _REFUSE]


def _high_is_one_of(index: int, values: Sequence[int]) -> list[bytes]:
    """Refuse the call unless the high half of an argument is one of the values."""
    tests = [_instruction(_JEQ, value, len(values) - at) for at, value in enumerate(sorted(values))]
    return [_high(index), *tests, _REFUSE]


def _inside_blocks(blocks: Sequence[int]) -> list[bytes]:
    """Refuse the call unless arguments 0 (address) and 1 (length) lie in one block of 4 GiB."""
    return [
        *_high_is_one_of(0, blocks),
        *_high_is_one_of(1, (0,)),
        _low(1),
        _instruction(_COPY_TO_X, 0),
        _low(0),
        _instruction(_ADD_X, 0),
        _instruction(_JGE_X, 0, 1, 0),  # else the sum wrapped around
        _REFUSE,
    ]


def _rules(blocks: Sequence[int] | None) -> dict[str, list[bytes]]:
    """What calls must fulfil, by name; one that gets to the end is allowed."""
    clock = [_low(0), _instruction(_JGE, _STATIC_CLOCKS, 0, 1), _REFUSE]
    rules = {
        # No new executable memory: code that is not already loaded can't be run natively.
        "mmap": [*_REFUSE_EXECUTABLE],
        "mprotect": [*_REFUSE_EXECUTABLE],
        # Limits only of the process itself. It can't raise them, for soft and hard are equal, and
        # sets none but that of memory: RLIMIT_CPU would let it end itself by SIGKILL, which the
        # owner takes for a kill from outside.
        "prlimit64": [
            _low(0),
            _instruction(_JEQ, 0, 1, 0),
            _REFUSE,
            _low(1),
            _instruction(_JEQ, _RLIMIT_AS, 5, 0),
            _low(2),
            _instruction(_JEQ, 0, 0, 2),
            _high(2),
            _instruction(_JEQ, 0, 1, 0),
            _REFUSE,
        ],
        # The clocks of other processes say which exist, and how busy they are.
        "clock_gettime": clock,
        "clock_getres": clock,
        "clock_nanosleep": clock,
    }
    if blocks is not None:
        # See `confinement.bound_address_space`: what is reserved stays reserved.
        rules["mmap"] += [
            _low(3),
            _instruction(_JSET, _MAP_FIXED, 0, 1),
            _REFUSE,
            *_high_is_one_of(0, sorted({0, *blocks})),
        ]
        rules["mprotect"] += _inside_blocks(blocks)
        rules["munmap"] = _inside_blocks(blocks)
        rules["madvise"] = _inside_blocks(blocks)
        rules["mremap"] = [
            _low(3),
            _instruction(_JSET, 0xFFFFFFFF & ~_MREMAP_MAYMOVE, 0, 1),
            _REFUSE,
            *_inside_blocks(blocks),
        ]
    return rules


def program(machine: str, blocks: Sequence[int] | None = None) -> bytes:
    """The filter for `platform.machine()`, as an array of `struct sock_filter`.

    `blocks`: the only blocks of 4 GiB (address divided by 2**32) whose memory may be mapped,
    unmapped and changed. None: all.
    """
    numbers, rules = NUMBERS[machine], _rules(blocks)
    out = [
        _instruction(_LOAD, _ARCH),
        _instruction(_JEQ, AUDIT_ARCH[machine], 1, 0),
        _instruction(_RETURN, KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JGE, _X32, 0, 1),
        _instruction(_RETURN, KILL),
    ]
    for name, rule in rules.items():
        out += [_instruction(_JEQ, numbers[name], 0, len(rule) + 1), *rule, _ALLOW]
    for name in [name for name in numbers if name not in rules]:
        out += [_instruction(_JEQ, numbers[name], 0, 1), _ALLOW]
    return b"".join([*out, _REFUSE])

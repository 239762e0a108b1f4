"""Linux confinement through raw system calls: namespaces, Landlock, capabilities, seccomp.

Used by the zygote before any tool code exists. Every step raises OSError when the kernel refuses,
so that a level is either wholly there or not offered.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct

from . import seccomp

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_MACHINE = platform.machine()
# Set-up calls that libc does not wrap everywhere.
_SYSCALLS = {
    "x86_64": {"pivot_root": 155, "capset": 126},
    "aarch64": {"pivot_root": 41, "capset": 91},
}
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _CLOSE_RANGE = 444, 446, 436

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_REC, _MS_PRIVATE = 32, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_SECCOMP = 1, 4, 24, 22
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9
NOBODY = 65534


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, *arguments: int) -> None:
    _check(_libc.prctl(option, *(*arguments, 0, 0, 0, 0)[:4]), f"prctl {option}")


def _mount(
    source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None
) -> None:
    _check(_libc.mount(source, target, kind, ctypes.c_ulong(flags), data), f"mount {target!r}")


def close_descriptors_from(lowest: int) -> None:
    """Close every descriptor from a number on, however large the highest is.

    RLIMIT_NOFILE is not its bound: what was open before the limit was lowered stays open above it.
    """
    every = ctypes.c_uint(0xFFFFFFFF)
    if _libc.syscall(_CLOSE_RANGE, ctypes.c_uint(lowest), every, ctypes.c_uint(0)) < 0:
        # A kernel before 5.9. The zygote does this before it lowers the limit, and a child of it
        # has only what the zygote opened since, which got the lowest free numbers.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.closerange(lowest, min(most, 1 << 20) if most > 0 else 1 << 20)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def enter_namespaces() -> None:
    """Unshare mounts, processes, network, IPC, host name and control groups; a user namespace
    where we lack the right to do without. The next fork is process 1 of the new PID namespace.
    """
    kinds = _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS | _NEWCGROUP
    if os.geteuid() == 0 and _libc.unshare(kinds) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(kinds | _NEWUSER), "unshare")
    for path, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{path}", "w") as file:
            file.write(text)


def leave_file_system() -> None:
    """Swap the root for an empty, read-only one with no way back."""
    _mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    place = next(p for p in (b"/tmp", b"/var/tmp", b"/dev", b"/proc") if os.path.isdir(p))
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount(b"tmpfs", place, b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555")
    os.chdir(place)
    _check(_libc.syscall(_SYSCALLS[_MACHINE]["pivot_root"], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount old root")
    os.chdir("/")
    _mount(None, b"/", None, flags | _MS_REMOUNT | _MS_RDONLY, None)


def landlock_abi() -> int:
    """Version of Landlock in the running kernel; 0 where there is none."""
    return max(0, _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def restrict_with_landlock() -> None:
    """Give up every right that Landlock knows: files, TCP, signals and abstract sockets."""
    abi = landlock_abi()
    if not abi:
        raise OSError("this kernel has no Landlock (5.13 or newer, `lsm=` with landlock)")
    files = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    fields = [(1 << files) - 1]
    if abi >= 4:
        fields.append(0b11)
    if abi >= 6:
        fields.append(0b11)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _check(
        _libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0),
        "landlock_create_ruleset",
    )
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _check(_libc.syscall(_LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def drop_privileges() -> None:
    """Become nobody without capabilities, never to gain any; unreadable to other processes."""
    if os.geteuid() == 0:
        # The bounding set can be lowered only by root; without it the rest still holds.
        with contextlib.suppress(OSError):
            for capability in range(64):
                _prctl(_PR_CAPBSET_DROP, capability)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check(_libc.syscall(_SYSCALLS[_MACHINE]["capset"], header, nothing), "capset")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def limit_resources() -> None:
    """Limits that are the same for every episode: no files, no core dumps, few descriptors."""
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, most = resource.getrlimit(kind)
        # A limit of the caller's own that is lower can't be raised, and need not be.
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


_BLOCK = 1 << 32
_OPEN_BLOCKS = 2
_STACK_ROOM = 64 << 20
_MAP_PRIVATE_ANONYMOUS, _MAP_NORESERVE, _MAP_FIXED_NOREPLACE = 0x22, 0x4000, 0x100000
_FAILED = (1 << 64) - 1
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]


def _reserve(address: int, size: int) -> int:
    """Map memory that can't be touched; at any address if 0. Raises OSError."""
    flags = _MAP_PRIVATE_ANONYMOUS | _MAP_NORESERVE | (_MAP_FIXED_NOREPLACE if address else 0)
    place = _libc.mmap(address, size, 0, flags, -1, 0)
    if place == _FAILED or (address and place != address):
        number = ctypes.get_errno()
        raise OSError(number, f"reserve {size} bytes at {address:#x}: {os.strerror(number)}")
    return place


def bound_address_space() -> list[int] | None:
    """Reserve the address space up to a few blocks of 4 GiB, so that page tables stay small.

    RLIMIT_AS does not count page tables, and single pages far from each other need up to three
    pages of tables each: thrice the limit. Within `n` blocks the tables take 8 MiB * n at most.
    Returns the blocks that are open, for `SeccompFilter`, which keeps the rest reserved; None where
    a limit of address space that we were started with leaves no room to reserve anything.
    """
    if resource.getrlimit(resource.RLIMIT_AS) != (resource.RLIM_INFINITY,) * 2:
        return None
    open_: set[int] = set()
    with open("/proc/self/maps") as file:
        for line in file:
            start, end = (int(x, 16) for x in line.split(maxsplit=1)[0].split("-"))
            if "[vsyscall]" in line:
                continue  # the kernel's own, above all user memory
            if "[stack]" in line:
                start -= _STACK_ROOM  # where it grows to
            open_.update(range(start // _BLOCK, (end - 1) // _BLOCK + 1))
    # Room to allocate, where the kernel would look for it.
    place = _reserve(0, (_OPEN_BLOCKS + 1) * _BLOCK)
    _check(_libc.munmap(place, (_OPEN_BLOCKS + 1) * _BLOCK), "munmap")
    first = -(-place // _BLOCK)
    blocks = sorted(open_.union(range(first, first + _OPEN_BLOCKS)))
    # The stack is near the end of what a process may use: a power of two, less a page.
    most = (1 << (blocks[-1] * _BLOCK).bit_length()) - (1 << 16)
    begin = 1 << 20  # the kernel keeps what is below
    for block in blocks:
        if block * _BLOCK > begin:
            _reserve(begin, block * _BLOCK - begin)
        begin = (block + 1) * _BLOCK
    if most > begin:
        _reserve(begin, most - begin)
    return blocks


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class SeccompFilter:
    """The seccomp filter, built once in the zygote and installed in every child."""

    def __init__(self, blocks: list[int] | None = None) -> None:
        self._code = seccomp.program(_MACHINE, blocks)
        self._program = _Program(len(self._code) // 8, self._code)
        self._address = ctypes.addressof(self._program)

    def install(self) -> None:
        _prctl(_PR_SET_SECCOMP, 2, self._address)

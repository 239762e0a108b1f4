"""The seccomp filter of live servers, as a classic BPF program.

Servers are whole programs (node, Python, what `uvx` starts), so unlike that of the sandbox this
filter lists what is refused: calls that change the machine, its clock, its mounts or its kernel,
that look into other processes, or that reach them past the file system. All of it fails with EPERM
and reads as an ordinary `PermissionError`. Calls that are newer than this list do not exist for
a server (ENOSYS).

What this does not guarantee: it does not protect against bugs in the calls that are allowed, and
it can't read paths, so Unix sockets are open as a whole or not at all.
"""

from __future__ import annotations

import struct

from astra.sandbox.child.seccomp import ALLOW, AUDIT_ARCH, EPERM, KILL

_ENOSYS = 0x00050000 | 38
_LOAD, _AND, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_FIRST_UNKNOWN = 463
"""Numbers from here on are younger than this list; below, both architectures share those from
424 on."""

# Refused whatever the arguments are. Numbers of both architectures; None: it is not there.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # The machine and its kernel.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "create_module": (174, None), "query_module": (178, None), "get_kernel_syms": (177, None),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "syslog": (103, 116), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "uselib": (134, None), "sysfs": (139, None),
    "_sysctl": (156, None), "vhangup": (153, 58), "sethostname": (170, 161),
    "setdomainname": (171, 162),
    # Its clock.
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    # Mounts and namespaces; files by other ways than their paths.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "statmount": (457, 457), "listmount": (458, 458),
    "setns": (308, 268), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    # Other processes, and what they share.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "shmctl": (31, 195), "shmat": (30, 196),
    "semget": (64, 190), "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgctl": (71, 187), "msgrcv": (70, 188), "msgsnd": (69, 189),
    "mq_open": (240, 180), "mq_unlink": (241, 181),
}  # fmt: skip
_MACHINES = ("x86_64", "aarch64")
_CONDITIONAL = {
    "x86_64": {"clone": 56, "unshare": 272, "socket": 41, "socketpair": 53, "prlimit64": 302},
    "aarch64": {"clone": 220, "unshare": 97, "socket": 198, "socketpair": 199, "prlimit64": 261},
}
_CLONE3 = 435
# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. To `clone`, the lowest
# byte is a signal, and the first of them can't be asked for.
_NEW_NAMESPACE = 0x7E020080
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _NETLINK_ROUTE = 1, 2, 10, 16, 0
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE = 1, 5, 0xF


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, k)


def _argument(index: int) -> bytes:
    """Load the low half of an argument; those below are 32 bits wide for the kernel too."""
    return _instruction(_LOAD, _ARGS + 8 * index)


_REFUSE, _ALLOW = _instruction(_RETURN, EPERM), _instruction(_RETURN, ALLOW)


def _rules(*, unix_sockets: bool) -> dict[str, list[bytes]]:
    """What calls must fulfil, by name; each list ends with its last word."""
    families = (_AF_INET, _AF_INET6, *((_AF_UNIX,) if unix_sockets else ()))
    return {
        "clone": [
            _argument(0),
            _instruction(_JSET, _NEW_NAMESPACE & ~0xFF, 0, 1),
            _REFUSE,
            _ALLOW,
        ],
        "unshare": [_argument(0), _instruction(_JSET, _NEW_NAMESPACE, 0, 1), _REFUSE, _ALLOW],
        # Addresses of the internet, and the kernel's list of interfaces, which resolvers ask for.
        # Not AF_VSOCK, which leads to the host of a virtual machine, nor AF_ALG, nor raw packets.
        "socket": [
            _argument(0),
            *[part for family in families for part in (_instruction(_JEQ, family, 0, 1), _ALLOW)],
            _instruction(_JEQ, _AF_NETLINK, 1, 0),
            _REFUSE,
            _argument(2),
            _instruction(_JEQ, _NETLINK_ROUTE, 1, 0),
            _REFUSE,
            _ALLOW,
        ],
        # Pairs are how programs talk to their children. One of datagrams could be sent anywhere.
        "socketpair": [
            _argument(1),
            _instruction(_AND, _SOCK_TYPE),
            _instruction(_JEQ, _SOCK_STREAM, 2, 0),
            _instruction(_JEQ, _SOCK_SEQPACKET, 1, 0),
            _ALLOW if unix_sockets else _REFUSE,
            _ALLOW,
        ],
        # Limits of the process itself, not of others that its user has.
        "prlimit64": [_argument(0), _instruction(_JEQ, 0, 1, 0), _REFUSE, _ALLOW],
    }


def program(machine: str, *, unix_sockets: bool) -> bytes:
    """The filter for `platform.machine()`, as an array of `struct sock_filter`.

    Raises ValueError for a machine whose numbers are not known. `unix_sockets`: whether the server
    may make sockets by which other programs of the machine are reached.
    """
    column, numbers = _MACHINES.index(machine), _CONDITIONAL[machine]
    out = [
        _instruction(_LOAD, _ARCH),
        _instruction(_JEQ, AUDIT_ARCH[machine], 1, 0),
        _instruction(_RETURN, KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JGE, _X32, 0, 1),
        _instruction(_RETURN, KILL),
        _instruction(_JGE, _FIRST_UNKNOWN, 1, 0),
        # Its flags lie in memory, where a filter can't look: libc then takes `clone`.
        _instruction(_JEQ, _CLONE3, 0, 1),
        _instruction(_RETURN, _ENOSYS),
    ]
    for name, rule in _rules(unix_sockets=unix_sockets).items():
        out += [_instruction(_JEQ, numbers[name], 0, len(rule)), *rule]
    for columns in _REFUSED.values():
        if (number := columns[column]) is not None:
            out += [_instruction(_JEQ, number, 0, 1), _REFUSE]
    return b"".join([*out, _ALLOW])

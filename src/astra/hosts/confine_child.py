"""Run as a script: give up the file system but for some paths (Landlock), then become a program.

    python -I -S confine_child.py '{"read": [...], "write": [...]}' COMMAND ARG...

Standard library only, and nothing of this package: it runs in a server's clean environment.
"""

import ctypes
import json
import os
import stat
import struct
import sys

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NO_NEW_PRIVS = 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def abi() -> int:
    """Version of Landlock in the running kernel; 0 where there is none."""
    return max(0, _libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1))


def restrict(read: list[str], write: list[str]) -> None:
    """Leave this process, and its children, these paths and what is under them."""
    version = abi()
    every = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    # From 6 on, signals and abstract sockets to processes outside can be closed off as well.
    fields = [every] if version < 4 else [every, 0] if version < 6 else [every, 0, 0b11]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    size = ctypes.c_size_t(len(attributes))
    rules = _check(_libc.syscall(_CREATE, attributes, size, 0), "landlock_create_ruleset")
    for paths, rights in ((read, _EXECUTE | _READ_FILE | _READ_DIR), (write, every)):
        for path in paths:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # what is not there needs no right
            try:
                allowed = rights & every
                # The kernel refuses a rule that gives a file the rights of folders.
                if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    allowed &= _FILE_RIGHTS
                rule = struct.pack("=Qi", allowed, descriptor)
                _check(_libc.syscall(_ADD, rules, 1, rule, 0), "landlock_add_rule")
            finally:
                os.close(descriptor)
    # Without this, only root may restrict itself.
    _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _check(_libc.syscall(_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


if __name__ == "__main__":
    restrict(**json.loads(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit(f"can't start {sys.argv[2]!r}: {error.strerror}")

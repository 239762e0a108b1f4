"""Run as a script: give up rights, then become a program.

    python -I -S confine_child.py RIGHTS COMMAND ARG...

RIGHTS is JSON: `read` and `write` (the paths that stay open, by Landlock), `filter` (the seccomp
program, base64), `folder` and `user` (who to become, and whose the folder is then; null: stay).
Whoever starts it, no capability is left and none can be gained.

Standard library only, and nothing of this package: it runs in a server's clean environment.
"""

import base64
import contextlib
import ctypes
import json
import os
import platform
import stat
import struct
import sys

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_CAPSET = {"x86_64": 126, "aarch64": 91}
_SET_SECCOMP, _DROP_FROM_BOUNDING, _SET_SECUREBITS, _NO_NEW_PRIVS, _AMBIENT = 22, 24, 28, 38, 47
_CLEAR_ALL = 4
# The superuser's id gives no capabilities, not even by executing a program; ambient ones can't be
# raised; and all of that is locked.
_SECUREBITS = 0b11101111
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def abi() -> int:
    """Version of Landlock in the running kernel; 0 where there is none."""
    return max(0, _libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1))


def restrict_paths(read: list[str], write: list[str]) -> None:
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
    _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(_libc.syscall(_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def drop_privileges(folder: str, user: int | None) -> None:
    """Become the user, whose the folder is then, where that is allowed; drop all capabilities."""
    # Root of a container may lack the right to these two. That no program gains what this
    # process lacks (`no_new_privs`) holds without them.
    for capability in range(64):
        if _libc.prctl(_DROP_FROM_BOUNDING, capability, 0, 0, 0) < 0:
            break
    _libc.prctl(_SET_SECUREBITS, _SECUREBITS, 0, 0, 0)
    if user is not None:
        owner = os.stat(folder)
        try:
            for path in _everything_in(folder):
                os.chown(path, user, user, follow_symlinks=False)
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError:  # this root may not become another user: it stays, without capabilities
            with contextlib.suppress(OSError):
                for path in _everything_in(folder):
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    _libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check(_libc.syscall(_CAPSET[platform.machine()], header, nothing), "capset")


def _everything_in(folder: str) -> list[str]:
    inside = [
        os.path.join(at, n) for at, folders, files in os.walk(folder) for n in folders + files
    ]
    return [folder, *inside]


def install_filter(code: bytes) -> None:
    """Install a seccomp filter for this process and all that it will start."""
    program = _Program(len(code) // 8, code)
    _check(_libc.prctl(_SET_SECCOMP, 2, ctypes.addressof(program), 0, 0), "seccomp")


def main(rights: str, command: list[str]) -> None:
    """Give up all but the rights and execute the command."""
    given = json.loads(rights)
    try:
        restrict_paths(given["read"], given["write"])
        drop_privileges(given["folder"], given["user"])
        install_filter(base64.b64decode(given["filter"]))
    except OSError as error:
        sys.exit(f"can't confine {command[0]!r}, so it is not started: {error.strerror}")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"can't start {command[0]!r}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""What an episode with a live server starts from, as the server's entry declares it.

    "astra": {"seed": "shop", "writable": ["/srv/data"], "calls": [{"tool": ..., "arguments": ...}]}

Each episode gets a working folder of its own, with a copy of the seed, and a copy of every writable
path; the server is started with the copies' paths, and speaks of them to the agent by names that
are the same in every episode. What the server leaves in them goes with the episode.

What this does not guarantee: a path that a server spells in another way (escaped, cut, hashed)
keeps the copy's name; what a server changes over the network, or in `shared` paths, stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from astra.configs.options import did_you_mean
from astra.errors import ConfigError, HostError
from astra.types import Json

WORKSPACE_VARIABLE = "${workspaceFolder}"
"""What an entry writes for the working folder of the episode; the name is that of VS Code."""
WORKSPACE = "/home/agent"
"""What the agent sees of it: the real name is another one in every episode."""
LARGEST_COPY = 2**30
"""Bytes that are copied for an episode."""

_FIELDS = ("seed", "writable", "shared", "readable", "calls", "unix_sockets")


@dataclass(frozen=True, slots=True)
class StartCall:
    """A call that is made before the agent's first one."""

    tool: str
    """Name at the server."""
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class DeclaredState:
    """The `astra` object of an entry."""

    seed: Path | None = None
    """Folder whose content the working folder starts with. None: it starts empty."""
    writable: tuple[Path, ...] = ()
    """Paths that the entry names and the server writes: each episode has a fresh copy."""
    shared: tuple[Path, ...] = ()
    """Paths that the server writes in place, and finds again in the next episode: for caches."""
    readable: tuple[Path, ...] = ()
    """Paths that it reads, besides those that its arguments, environment and `cwd` name."""
    calls: tuple[StartCall, ...] = ()
    """Made at the start of every episode, in this order."""
    unix_sockets: tuple[Path, ...] = ()
    """Sockets of this machine that it is meant to reach, e.g. `/var/run/docker.sock`. If there are
    none, it can open no Unix sockets at all."""


def parse_state(name: str, value: Json, folder: Path, *, started: bool) -> DeclaredState:
    """The `astra` object of the entry `name`; relative paths start from `folder`. ConfigError.

    `started`: whether the server is started by us; one that is reached has no files of ours.
    """
    if value is None:
        return DeclaredState()
    where = f'entry {name!r}: "astra"'
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is not an object: give some of {', '.join(_FIELDS)}")
    for key in value:
        if key not in _FIELDS:
            hint = did_you_mean(str(key), _FIELDS) or f": there are {', '.join(_FIELDS)}"
            raise ConfigError(f"{where} has no field {key!r:.100}{hint}")
        if not started and key != "calls":
            raise ConfigError(
                f"{where}: {key} is for servers that are started (command), and this one is "
                "reached by its url: give calls that bring it into the state to start from"
            )
    seed = value.get("seed")
    if seed is not None and (not isinstance(seed, str) or not seed.strip()):
        raise ConfigError(f'{where}: seed is not the path of a folder such as "shop"')

    def paths(key: str) -> tuple[Path, ...]:
        listed = value.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise ConfigError(f'{where}: {key} is not a list of paths such as ["/srv/data"]')
        for each in listed:
            absolute = os.path.normpath(os.path.abspath(folder / each))
            # The names stand in JSON messages as they are.
            if not each.strip() or absolute == "/" or not _usable(each):
                raise ConfigError(
                    f"{where}: {key} holds {each!r:.100}: give the path of a file or folder, not "
                    "of all files, and without quotes, backslashes and control characters"
                )
        return tuple(Path(os.path.normpath(os.path.abspath(folder / each))) for each in listed)

    sockets = value.get("unix_sockets", [])
    if not isinstance(sockets, list) or not all(
        isinstance(each, str) and each.startswith("/") for each in sockets
    ):
        raise ConfigError(
            f'{where}: unix_sockets is not a list of whole paths such as ["/run/a.sock"]'
        )
    return DeclaredState(
        seed=None if seed is None else Path(os.path.abspath(folder / seed)),
        writable=paths("writable"),
        shared=paths("shared"),
        readable=paths("readable"),
        calls=_calls(where, value.get("calls", [])),
        unix_sockets=tuple(map(Path, sockets)),
    )


def _usable(path: str) -> bool:
    return path.isprintable() and not set(path) & set('"\\')


def _calls(where: str, value: Json) -> tuple[StartCall, ...]:
    example = '[{"tool": "create_note", "arguments": {"title": "Milk"}}]'
    if not isinstance(value, list):
        raise ConfigError(f"{where}: calls is not a list such as {example}")
    for number, call in enumerate(value, start=1):
        fits = isinstance(call, dict) and set(call) <= {"tool", "arguments"}
        if not (
            fits
            and isinstance(call.get("tool"), str)
            and isinstance(call.get("arguments", {}), dict)
        ):
            raise ConfigError(f"{where}: call {number} is not of the form {example}")
    return tuple(StartCall(call["tool"], call.get("arguments", {})) for call in value)


# --- the files of an episode --------------------------------------------------------------------


@dataclass(frozen=True)
class EpisodeFiles:
    """The working folder of an episode, and its copies of the writable paths."""

    root: Path
    """Holds both, and goes with the episode."""
    workspace: Path
    copies: Mapping[Path, Path] = field(default_factory=dict[Path, Path])
    """Writable path -> its copy."""
    digest: str | None = None
    """SHA-256 of all that was copied; times and owners are left out. None: nothing was."""

    def placed(self, text: str) -> str:
        """A text of an entry with the paths of this episode."""
        names = {str(path): str(copy) for path, copy in self.copies.items()}
        return _replaced(text, names).replace(WORKSPACE_VARIABLE, str(self.workspace))

    def shown(self, message: bytes) -> bytes:
        """What the server says, with the names that the agent knows."""
        for real, name in self._shown:
            message = message.replace(real, name)
        return message

    def real(self, message: bytes) -> bytes:
        """What the agent says, with the paths of this episode."""
        if not any(name in message for _, name in self._shown):
            return message
        names = {name.decode(): real.decode() for real, name in self._shown}
        return _replaced(message.decode(), names).encode()

    @cached_property
    def _shown(self) -> list[tuple[bytes, bytes]]:
        pairs = [(self.workspace, WORKSPACE), *((b, str(a)) for a, b in self.copies.items())]
        return [(str(real).encode(), name.encode()) for real, name in pairs]


def names_path(text: str, path: Path) -> bool:
    """Whether a text of an entry names a path, or what is in it."""
    return _replaced(text, {str(path): ""}) != text


def _replaced(text: str, names: Mapping[str, str]) -> str:
    """The text with whole paths, or the first parts of paths, replaced by others."""
    if not names:
        return text
    longest_first = sorted(names, key=len, reverse=True)
    either = "|".join(map(re.escape, longest_first))
    # Not the end of a longer path, and not the beginning of a longer name. In JSON, the letter
    # before a path may belong to an escaped line break.
    pattern = rf"(?:(?<![\w.~-])|(?<=\\[nrt]))({either})(?![\w-]|\.\w)"
    return re.sub(pattern, lambda match: names[match[1]], text)


def episode_files(state: DeclaredState, root: Path) -> EpisodeFiles:
    """Make the files of an episode below `root`. HostError where they can't be copied."""
    workspace = root / "workspace"
    workspace.mkdir()
    digest = hashlib.sha256()
    sources = [] if state.seed is None else [(state.seed, workspace)]
    copies: dict[Path, Path] = {}
    for number, path in enumerate(state.writable, start=1):
        copies[path] = root / str(number) / path.name
        copies[path].parent.mkdir()
        sources.append((path, copies[path]))
    left = LARGEST_COPY
    for source, target in sources:
        field_name = "seed" if target == workspace else "writable"
        if not source.exists() or (field_name == "seed" and not source.is_dir()):
            raise HostError(
                f'"astra": {field_name} names {str(source)!r}, and there is no such '
                f"{'folder' if field_name == 'seed' else 'file or folder'}: make it"
            )
        left -= _size(source)
        if left < 0:
            raise HostError(
                f'"astra": {field_name} names {str(source)!r}, and what an episode starts from '
                f"has over {LARGEST_COPY // 2**20} MiB: leave out what the server does not need"
            )
        try:
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
            digest.update(_content(target))
        except OSError as error:  # shutil.Error, too: a socket or a pipe among the files
            raise HostError(
                f'"astra": {field_name} names {str(source)!r}, which can\'t be copied: {error}'
            ) from error
    return EpisodeFiles(root, workspace, copies, digest.hexdigest() if sources else None)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


def _content(path: Path) -> bytes:
    """A digest of the names, kinds and contents of a file or of a folder's files."""
    digest = hashlib.sha256()
    for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
        digest.update(os.fsencode(each.relative_to(path)) + b"\0")
        if each.is_symlink():
            digest.update(b"link\0" + os.fsencode(os.readlink(each)) + b"\0")
        elif each.is_dir():
            digest.update(b"folder\0")
        else:
            executable = b"program\0" if each.stat().st_mode & 0o100 else b"file\0"
            with each.open("rb") as file:
                digest.update(executable + hashlib.file_digest(file, "sha256").digest())
    return digest.digest()

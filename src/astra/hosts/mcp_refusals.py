"""What to declare for a server that was kept from a file: told from what the server says.

A confined server does not know why a file can't be read. Node says ERR_MODULE_NOT_FOUND, or that
`import` stands outside a module; Python says ModuleNotFoundError or PermissionError; others write
`permission denied`. Such a text is taken for a refusal of ours if it leads to a file that is there,
and that the server may not use.

What this does not guarantee: servers that keep their errors to themselves, or name no file, are not
understood; a file whose name says nothing is not advised on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from astra.hosts.mcp_entries import McpServerEntry
from astra.hosts.mcp_state import WORKSPACE, WORKSPACE_VARIABLE
from astra.protocols import ToolResult
from astra.types import Json, canonical_json

_DENIED = re.compile(
    r"EACCES|EPERM|EROFS|PermissionError|permission denied|operation not permitted|"
    r"read-only (?:file|database)|readonly database|os error (?:13|30)|access is denied|"
    r"unable to open database file",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"""['"`](?:file://)?(/[^'"`\n]+)['"`]""")
_BARE = re.compile(r"""(?:file://)?(/[^\s'"`,;()<>]+)""")
_NODE_FILE = re.compile(r"Cannot find module '([^']+)'")
_NODE_PACKAGE = re.compile(r"Cannot find (?:package|module) '((?:@[^/'.]+/)?[^/'.][^/']*)[^']*'")
_NODE_AT = re.compile(r"Cannot find (?:package|module) '(/[^']+)'")
_NODE_OUTSIDE = re.compile(
    r"outside a module|Unexpected token '?export|require is not defined in ES module"
)
_PYTHON_MODULE = re.compile(r"No module named '?([\w.]+)")
_ERROR_FIRST = re.compile(r".{0,40}\b(?:error|failed|denied)\b", re.IGNORECASE)
_CODE = {".py", ".js", ".cjs", ".mjs", ".ts", ".rb", ".php", ".sh", ".so"}
_LONGEST = 4000
"""Characters of a result that may be an error's text."""


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """What a confined server may use, by the names that it is known by outside of its episode."""

    entry: McpServerEntry
    read: tuple[str, ...]
    write: tuple[str, ...]

    def refusal(self, text: str) -> str:
        """What to declare, if a server's last words say that it was kept from a file, or empty."""
        for path in self._unreadable(text):
            return _unreadable(path)
        denied = "\n".join(_denied_lines(text))
        for path in _paths(denied):
            if self._covers(self.read, path) and not self._writes(path):
                return self._unwritable(path)
        if re.search("database", denied, re.IGNORECASE):
            for path in self._databases():
                return self._unwritable(path)
        return ""

    def refused_write(self, result: ToolResult, arguments: Mapping[str, Json]) -> str:
        """What to declare, if a result says that the server can't write a file of its own.

        Else empty: a path that the arguments lead to is the agent's choice, and the refusal is what
        the tool has to say to it.
        """
        for path in _refused(result, arguments):
            if self._covers(self.read, path) and not self._writes(path):
                return self._unwritable(path)
        if re.search("database", _denied(result), re.IGNORECASE):
            for path in self._databases():
                return self._unwritable(path)
        return ""

    def refused_read(self, result: ToolResult, arguments: Mapping[str, Json]) -> str:
        """What to declare, if an error says that the server may not read a file, and no argument
        leads to that file; else empty."""
        for path in _refused(result, arguments) if result.is_error else ():
            if self._kept_from(path):
                return _unreadable(_with_its_neighbours(path))
        return ""

    def _unwritable(self, path: Path) -> str:
        named = [one for one in self._named() if path.is_relative_to(one)]
        place = max(named, key=lambda one: len(one.parts), default=path.parent)
        first = (
            "" if named else "let a setting of its arguments or environment name this path, and "
        )
        how = f'"astra": {{"writable": [{_json(place)}]}} in the entry'
        if "cache" in str(path).casefold():
            how = f'"astra": {{"shared": [{_json(place)}]}}, which all write; or as "writable"'
        return (
            f"the server may not write {str(path)!r}: {first}declare it by {how}, by which every "
            f"episode gets a fresh copy, or give the server a path below {WORKSPACE_VARIABLE}"
        )

    # --- paths ---------------------------------------------------------------------------------

    def _named(self) -> list[Path]:
        return [path for text in self.entry.texts() for path in _paths(text) if path.exists()]

    def _databases(self) -> list[Path]:
        """Files that the entry names and that are SQLite's, which the server may not write."""
        return [
            path
            for path in self._named()
            if not self._writes(path) and path.is_file() and _begins(path, b"SQLite format 3\0")
        ]

    def _writes(self, path: Path) -> bool:
        own = (WORKSPACE, *map(str, self.entry.state.writable))
        return self._covers((*self.write, *own), path)

    @staticmethod
    def _covers(allowed: tuple[str, ...], path: Path) -> bool:
        # As Landlock sees it: by where links lead to.
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(each)) for each in allowed)

    def _kept_from(self, path: Path) -> bool:
        """Whether a path is there and the server may not read it."""
        return path.exists() and not self._covers((*self.read, *self.write), path)

    def _unreadable(self, text: str) -> Iterator[Path]:
        """Paths that are there, and whose absence, or a refusal to read them, the text reports."""
        importing = [path for path in _paths(text) if path.suffix] + self._named()
        for name in _NODE_FILE.findall(text):
            for start in importing if name.startswith(".") else [Path("/")]:
                for suffix in ("", ".js", ".cjs", ".json", "/index.js"):
                    path = Path(os.path.normpath(f"{start.parent / name}{suffix}"))
                    if self._kept_from(path):
                        yield path.parent
        # A package whose package.json can't be read is looked for at a file that it does not have.
        for found in _NODE_AT.findall(text):
            inside = [each for each in Path(found).parents if "node_modules" in each.parts]
            yield from map(_with_its_neighbours, filter(self._kept_from, inside))
        for name in _NODE_PACKAGE.findall(text):
            for folder in dict.fromkeys(each for path in importing for each in path.parents):
                if self._kept_from(folder / "node_modules" / name):
                    yield folder / "node_modules"
        if _NODE_OUTSIDE.search(text):
            for path in importing:
                found = [each / "package.json" for each in path.parents]
                yield from [each for each in found if self._kept_from(each)][:1]
        for name in _PYTHON_MODULE.findall(text):
            first = name.partition(".")[0]
            folders = [path if path.is_dir() else path.parent for path in importing]
            for folder in dict.fromkeys(folders):
                for path in (folder / first, folder / f"{first}.py"):
                    if self._kept_from(path):
                        yield folder
        for line in _denied_lines(text):
            yield from map(_with_its_neighbours, filter(self._kept_from, _paths(line)))


def _unreadable(path: Path) -> str:
    return (
        f"the server may not read {str(path)!r}, which its entry does not name: add "
        f'"astra": {{"readable": [{_json(path)}]}} to the entry'
    )


def _denied_lines(text: str) -> Iterator[str]:
    """The lines that speak of a refusal, each with the path that it is about where one follows."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if _DENIED.search(line):
            # npm tells one error in lines: its code, the system call, the path.
            below = lines[number + 1 : number + 4] if not _paths(line) else []
            yield " ".join([line, *(each for each in below if _paths(each))][:2])


def _denied(result: ToolResult) -> str:
    """The lines of an error that speak of a refusal."""
    text = "\n".join(_texts(result.content))
    # Some servers report their errors as results: "Database error: ...".
    if len(text) > _LONGEST or not (result.is_error or _ERROR_FIRST.match(text)):
        return ""
    return "\n".join(_denied_lines(text))


def _refused(result: ToolResult, arguments: Mapping[str, Json]) -> Iterator[Path]:
    """The paths of a refusal that no argument of the call leads to."""
    said = "\n".join(_texts(arguments))
    given = _paths(said)
    for path in _paths(_denied(result)):
        if path.name not in said and not any(map(path.is_relative_to, given)):
            yield path


def _with_its_neighbours(path: Path) -> Path:
    """What to open with a file: code needs the files beside it, a package the other packages."""
    if "node_modules" in path.parts:
        return Path(*path.parts[: path.parts.index("node_modules") + 1])
    return path.parent if path.suffix in _CODE else path


def _paths(text: str) -> list[Path]:
    """The absolute paths that a text names, each once."""
    quoted = _QUOTED.findall(text)
    bare = [path.rstrip(".:!?]}") for path in _BARE.findall(_QUOTED.sub(" ", text))]
    # After a file, where in it: /srv/app/index.js:10:3.
    whole = [re.sub(r"(?::\d+)+$", "", path) for path in (*quoted, *bare)]
    return [Path(os.path.normpath(path)) for path in dict.fromkeys(whole) if path != "/"]


def _texts(value: Json) -> Iterator[str]:
    """All texts in a value."""
    match value:
        case str():
            yield value
        case Mapping():
            for name, item in value.items():
                yield from (str(name), *_texts(item))
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case _:
            pass


def _begins(path: Path, start: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def _json(path: Path) -> str:
    return canonical_json(str(path))

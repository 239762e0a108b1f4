"""Run folders: what was asked, what came of it, what was set aside, what it cost.

A folder holds `config.toml`, one `<stage>.jsonl` and one `<stage>.failed.jsonl` per stage, files
beside them (`certificates.jsonl`, `tools.jsonl`) and `manifest.json`. Everything between the parts
of this package passes through such folders. docs/run-folder.md describes the format.

What this guarantees when the process is killed (`kill -9`): every line is whole or absent. What it
does not: that lines which were written moments before a power cut are on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import stat
import tomllib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Self, TypeVar

import tomli_w
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from astra.errors import ConfigError, StoreError
from astra.types import Json, Record, Usage

FORMAT = 1
"""Number of the folder format; a folder of a higher one is refused."""
LINE_BYTES = 64 * 2**20
"""Longest row. A longer one is refused, so that reading stays within memory."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.failed)?")
SECRET = re.compile(r"api_?key|secret|passw|credential|authorization|(^|[_-])token$", re.I)
"""Names of options whose values stand in no run folder and are printed nowhere."""
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_BLOCK = 2**16

R = TypeVar("R", bound=Record)


class FailureRow(Record):
    """A row of `<stage>.failed.jsonl`: an item that was set aside, and why."""

    key: str
    stage: str
    kind: Literal["rejected", "error"]
    """`rejected`: for good, by a check. `error`: something broke; tried again on resume."""
    check: str | None = None
    """Id of the check, for `rejected`."""
    type: str | None = None
    """Class name of the exception, for `error`."""
    message: str


class StageCounts(Record):
    """What one stage did, over all runs of its command."""

    accepted: int = 0
    rejected: dict[str, int] = {}
    """Check id -> number of items."""
    errors: dict[str, int] = {}
    """Exception type -> number of items that stand as errors now."""
    seconds: float = 0.0
    """Wall time, summed over resumes."""
    usage: Usage = Usage()
    dollars: float = 0.0


class UnitCost(Record):
    """What one finished item cost, with all that fell out on the way to it."""

    count: int
    """Finished items that the cost is divided by."""
    prompt_tokens: float
    completion_tokens: float
    cached_tokens: float
    """Part of the prompt tokens."""
    seconds: float
    """Wall time of the stages."""
    dollars: float | None
    """In the currency of the prices; None: nothing was paid, or no prices were given."""


class Manifest(Record):
    """`manifest.json`: where a run comes from and what it cost."""

    format: int = FORMAT
    version: str
    """Version of this package."""
    python: str
    platform: str
    """System and processor, e.g. `Linux-x86_64`."""
    seeds: dict[str, int] = {}
    stages: dict[str, StageCounts] = {}
    each: dict[str, UnitCost] = {}
    """What is made, e.g. `arena` -> what one of it cost."""

    def per(self, count: int) -> UnitCost | None:
        """What each of so many finished items cost; None: there are none, or nothing was used."""
        stages = self.stages.values()
        usage = sum((stage.usage for stage in stages), Usage())
        if count < 1 or usage == Usage():
            return None
        dollars = sum(stage.dollars for stage in stages)
        return UnitCost(
            count=count,
            prompt_tokens=round(usage.prompt_tokens / count, 1),
            completion_tokens=round(usage.completion_tokens / count, 1),
            cached_tokens=round(usage.cached_tokens / count, 1),
            seconds=round(sum(stage.seconds for stage in stages) / count, 3),
            dollars=dollars / count if dollars else None,
        )


def to_line(record: Record) -> bytes:
    """A record as one line of JSONL. ValueError for NaN, lone surrogates and giant rows."""
    # Not in JSON mode, where pydantic would turn NaN into null without a word.
    value = record.model_dump(exclude_none=isinstance(record, FailureRow))
    text = json.dumps(
        value,
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
        default=to_jsonable_python,
    )
    line = text.encode() + b"\n"
    if len(line) > LINE_BYTES:
        raise ValueError(f"a row of {len(line)} bytes; the most is {LINE_BYTES}")
    return line


class AppendLog:
    """An append-only JSONL file that is open for writing."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        file.truncate(_end_of_last_line(file))

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines in one piece; StoreError, and nothing written, when it can't."""
        data = memoryview(b"".join(lines))
        start = self._file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._file.truncate(start)
            raise StoreError(
                f"can't write {str(self._path)!r}: {error.strerror}. Make room, then run the same "
                "command again to go on"
            ) from error

    def cut(self, size: int) -> None:
        """Drop everything after the first `size` bytes."""
        self._file.truncate(size)

    def close(self) -> None:
        """Bring what was written to the disk and close."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _end_of_last_line(file: BinaryIO) -> int:
    """Offset after the last newline: what follows is a line that was never finished."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class RunFolder:
    """One run folder. Reading needs no lock and creates nothing; writing takes the lock."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock_depth = 0

    # --- opening ---------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """An existing run folder; StoreError if there is none at `path`."""
        folder = cls(path)
        if not folder.path.is_dir():
            raise StoreError(
                f"no run folder at {str(path)!r}: give a folder that one of our commands wrote"
            )
        if not (folder.exists("config.toml") or any(folder.path.glob("*.jsonl"))):
            raise StoreError(
                f"{str(path)!r} is no run folder (it holds neither config.toml nor rows): give a "
                "folder that one of our commands wrote"
            )
        folder.manifest()
        return folder

    @classmethod
    def create(
        cls, path: Path | str, config: Mapping[str, Json], *, seeds: Mapping[str, int] | None = None
    ) -> Self:
        """A new run folder, or the existing one if it was made with the same options.

        `config`: the options that decide what is made; `[runtime]` in it is stored and not
        compared. Options of None are left out; secrets are never written. ConfigError for an
        existing folder with another option.
        """
        folder = cls(path)
        if folder.path.exists() and not folder.path.is_dir():
            raise StoreError(f"{str(path)!r} is a file: choose another --out")
        if not folder.exists("config.toml"):
            folder._refuse_strangers()
        storable = _storable(config)
        with folder.lock():
            if not folder.exists("config.toml"):
                folder.replace("config.toml", [tomli_w.dumps(storable).encode()])
            else:
                folder._refuse_other(storable)
            if not folder.exists("manifest.json"):
                folder._write_manifest(_new_manifest(seeds or {}))
        folder.manifest()
        return folder

    def _refuse_strangers(self) -> None:
        """A folder of something else is never written into."""
        if not self.path.is_dir():
            return
        strangers = sorted(p.name for p in self.path.iterdir() if not p.name.startswith("."))
        if strangers:
            raise StoreError(
                f"{str(self.path)!r} is not empty and not a run folder (it holds "
                f"{strangers[0]!r}): choose another --out"
            )

    def _refuse_other(self, config: dict[str, Json]) -> None:
        stored, wanted = _flat(self.config()), _flat(config)
        for name in dict.fromkeys((*wanted, *stored)):
            old, new = stored.get(name, _ABSENT), wanted.get(name, _ABSENT)
            if old != new and not name.startswith("runtime."):
                raise ConfigError(
                    f"{str(self.path)!r} was made with other options: {name} was {old!r} and is "
                    f"now {new!r}. Give the same option to resume, choose another --out, or add "
                    "--if-exists overwrite"
                )

    # --- files -----------------------------------------------------------------------------

    def exists(self, file: str) -> bool:
        """Whether the folder holds that file (a link counts, and is refused when opened)."""
        return os.path.lexists(self.path / file)

    def _open(self, file: str, flags: int) -> BinaryIO:
        """Open a plain file of the folder itself, never through a link.

        FileNotFoundError if it is not there; StoreError for whatever else stands in the way.
        """
        path = self.path / file
        try:
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(
                    f"{str(path)!r} is a symbolic link: put the file itself there"
                ) from error
            raise StoreError(f"can't open {str(path)!r}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoreError(f"{str(path)!r} is no plain file: remove it")
        if flags & os.O_RDWR:
            return open(fd, "r+b", buffering=0)
        return open(fd, "rb")

    def replace(self, file: str, pieces: Iterable[bytes]) -> None:
        """Write a whole file in one step: readers see the old one or the new one."""
        temporary = f".{file}.new"
        with (
            self.lock(),
            self._open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as raw,
            _reporting(self.path / file),
        ):
            for piece in pieces:
                data = memoryview(piece)
                while data:
                    data = data[raw.write(data) :]
            os.fsync(raw.fileno())
            os.replace(self.path / temporary, self.path / file)

    @contextmanager
    def lock(self) -> Generator[None]:
        """Be the one process that writes here; StoreError if another one is. Nests."""
        if self._lock_depth == 0:
            with _reporting(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            self._lock_file = self._open(".lock", os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock_file.close()
                raise StoreError(
                    f"another process is writing {str(self.path)!r}: wait until it is done, or "
                    "choose another --out"
                ) from None
        self._lock_depth += 1
        try:
            yield
        finally:
            self._lock_depth -= 1
            if self._lock_depth == 0:
                self._lock_file.close()

    # --- rows ------------------------------------------------------------------------------

    def lines(self, name: str, *, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """(offset, line) of `<name>.jsonl` from an offset on; an unfinished last line is left out.

        No file is no lines.
        """
        try:
            file = self._open(_file(name), os.O_RDONLY)
        except FileNotFoundError:
            return
        with file:
            file.seek(start)
            offset = start
            while line := file.readline(LINE_BYTES + 1):
                if len(line) > LINE_BYTES:
                    raise StoreError(
                        f"{str(self.path / _file(name))!r} has a line of over {LINE_BYTES} bytes "
                        f"at byte {offset}: this is no file of a run"
                    )
                if not line.endswith(b"\n"):
                    return
                yield offset, line
                offset += len(line)

    def values(self, name: str) -> Iterator[tuple[int, Json]]:
        """(offset, JSON value) of each row, unchecked; StoreError for a line that is no JSON."""
        for number, (offset, line) in enumerate(self.lines(name), start=1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise self._damaged(name, number, str(error)) from error
            if not isinstance(value, dict):
                raise self._damaged(name, number, "not a JSON object")
            yield offset, value

    def rows(self, name: str, kind: type[R]) -> Iterator[R]:
        """The rows of `<name>.jsonl` as records, one at a time; no file is no rows."""
        for number, (_, line) in enumerate(self.lines(name), start=1):
            yield self._parse(name, number, line, kind)

    def row_at(self, name: str, offset: int, kind: type[R]) -> R:
        """The row that begins at an offset that `lines` or `values` gave."""
        for _, line in self.lines(name, start=offset):
            return self._parse(name, None, line, kind)
        raise StoreError(f"{str(self.path / _file(name))!r} changed while it was read: try again")

    def _parse(self, name: str, number: int | None, line: bytes, kind: type[R]) -> R:
        try:
            return kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            problem = f"{where}: {first['msg']}" if where else first["msg"]
            raise self._damaged(name, number, f"not a {kind.__name__} ({problem})") from error

    def _damaged(self, name: str, number: int | None, problem: str) -> StoreError:
        path = self.path / _file(name)
        if number is None:
            return StoreError(f"{str(path)!r} holds a damaged row: {problem}. Restore the file")
        return StoreError(
            f"{str(path)!r}, line {number}: {problem}. Restore the file, or keep its first "
            f"{number - 1} lines (head -n {number - 1}) and run the command that made it again"
        )

    def append(self, name: str) -> AppendLog:
        """Open `<name>.jsonl` for appending, an unfinished last line cut off. Needs the lock."""
        if not self._lock_depth:
            raise StoreError(f"take the lock of {str(self.path)!r} before writing {name!r}")
        return AppendLog(self._open(_file(name), os.O_RDWR | os.O_CREAT), self.path / _file(name))

    # --- config and manifest -----------------------------------------------------------------

    def config(self) -> dict[str, Json]:
        """What was asked, from `config.toml`; empty if there is none."""
        try:
            with self._open("config.toml", os.O_RDONLY) as file:
                return tomllib.load(file)
        except FileNotFoundError:
            return {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{str(self.path / 'config.toml')!r} is damaged ({error}): restore it"
            ) from error

    def manifest(self) -> Manifest:
        """The manifest; a new one (not written) if there is none."""
        path = self.path / "manifest.json"
        try:
            with self._open("manifest.json", os.O_RDONLY) as file:
                value = json.load(file)
            if isinstance(value, dict) and value.get("format", 0) > FORMAT:
                raise StoreError(
                    f"{str(path)!r} has format {value['format']!r}, made by a later version of "
                    f"this package ({value.get('version')!r}): upgrade to read it"
                )
            return Manifest.model_validate(value)
        except FileNotFoundError:
            return _new_manifest({})
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(
                f"{str(path)!r} is damaged: delete it (a new one is written on the next run)"
            ) from error

    def record(self, stage: str, counts: StageCounts) -> None:
        """Write a stage's counts into the manifest."""
        old = self.manifest()
        self._write_manifest(old.model_copy(update={"stages": {**old.stages, stage: counts}}))

    def record_each(self, what: str, count: int) -> None:
        """Write into the manifest what each of so many finished items cost."""
        old = self.manifest()
        cost = old.per(count)
        if cost is not None:
            self._write_manifest(old.model_copy(update={"each": {**old.each, what: cost}}))

    def _write_manifest(self, manifest: Manifest) -> None:
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
        self.replace("manifest.json", [text.encode() + b"\n"])


@contextmanager
def _reporting(path: Path) -> Generator[None]:
    """Turn what the operating system says into an error that names the file."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"can't write {str(path)!r}: {error.strerror}") from error


def _file(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(f"{name!r} is no name for rows: use lower-case letters, digits, _ and -")
    return f"{name}.jsonl"


_ABSENT = "not given"


def _storable(value: Json) -> Json:
    """A configuration as TOML can hold it: no None, no secrets, no passwords in addresses."""
    if isinstance(value, Mapping):
        return {
            str(name): _storable(item)
            for name, item in value.items()
            if item is not None and not SECRET.search(str(name))
        }
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value if item is not None]
    if isinstance(value, Path):
        return str(value)
    return _USER_INFO.sub("", value) if isinstance(value, str) else value


def _flat(config: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _new_manifest(seeds: Mapping[str, int]) -> Manifest:
    return Manifest(
        version=importlib.metadata.version("astra-arenas"),
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}",
        seeds=dict(seeds),
    )

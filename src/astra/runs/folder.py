"""Run folders: the configuration, the rows and failures of each stage, and what it cost.

A folder holds `config.toml`, one `<stage>.jsonl` and one `<stage>.failed.jsonl` per stage, side
files (`certificates.jsonl`, `tools.jsonl`) and `manifest.json`. Long rows go on in further files
(`<stage>.00001.jsonl`, …), which are read as one. Everything between the parts of
this package passes through such folders. docs/run-folder.md describes the format.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tomllib
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

from pydantic import ValidationError

from astra.configs.spelling import option_name
from astra.core.files import move_files
from astra.errors import ConfigError, StoreError, StoreWarning
from astra.runs.config_file import first_difference, storable
from astra.runs.folder_files import FolderFiles, reporting
from astra.runs.jsonl import JsonlLog
from astra.runs.manifest import FORMAT, SHARDED, Manifest, StageCounts, new_manifest
from astra.runs.shards import place_of, read_shards, require_no_gap, shard_files
from astra.types import Json, Record, Usage

_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.failed)?")

R = TypeVar("R", bound=Record)


class RunFolder(FolderFiles):
    """One run folder."""

    # --- opening ---------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """An existing run folder. StoreError if there is none at `path`."""
        folder = cls(path)
        if not folder.path.is_dir():
            raise StoreError(
                f"there is no run folder at {str(path)!r}: give a folder that an astra command "
                "wrote"
            )
        if not (folder.exists("config.toml") or any(folder.path.glob("*.jsonl"))):
            raise StoreError(
                f"{str(path)!r} is not a run folder (it has neither config.toml nor rows): give a "
                "folder that an astra command wrote"
            )
        folder.manifest()
        require_no_gap(folder.path)
        return folder

    @classmethod
    def create(
        cls,
        path: Path | str,
        config: Mapping[str, Json],
        *,
        seeds: Mapping[str, int] | None = None,
        overwrite: bool = False,
        lowerable: Collection[str] = (),
    ) -> Self:
        """A new run folder, or the existing one if it was made with the same options.

        `config`: the options that decide what is made; `[runtime]` in it is stored and not
        compared. Options of None and secrets are left out. ConfigError for an existing folder
        with another option, StoreError for one of something else. `overwrite`: delete what an
        existing run folder holds. `lowerable`: numbers that may be smaller than at first; a warning
        says so, and the smaller one is stored.
        """
        folder = cls(path)
        if folder.path.exists() and not folder.path.is_dir():
            raise StoreError(f"{str(path)!r} is a file: choose another {option_name('out')}")
        if folder.path.is_dir() and not folder.exists("config.toml"):
            names = sorted(p.name for p in folder.path.iterdir() if not p.name.startswith("."))
            if names:
                raise StoreError(
                    f"{str(path)!r} is not empty and not a run folder (it has {names[0]!r}): "
                    f"choose another {option_name('out')}"
                )
        import tomli_w  # playing arenas reads folders only

        wanted = storable(config)
        with folder.lock():
            if overwrite:
                folder.clear()
            stored = folder.config()
            lowered = {
                name: wanted[name]
                for name in lowerable
                # Folders that do not say how many are wanted hold what they hold.
                if name in wanted and stored.get(name, math.inf) > wanted[name]
            }
            if not folder.exists("config.toml"):
                folder.replace("config.toml", [tomli_w.dumps(wanted).encode()])
            elif difference := first_difference(stored | lowered, wanted):
                raise ConfigError(
                    f"{str(path)!r} was made with other options: {difference}. Give the same "
                    f"option to resume, choose another {option_name('out')}, or add "
                    f"{option_name('if_exists')} overwrite"
                )
            elif lowered:
                folder.replace("config.toml", [tomli_w.dumps(stored | lowered).encode()])
                for name in lowered.keys() & stored.keys():
                    warnings.warn(
                        f"{str(path)!r}: {option_name(name)} is lowered from {stored[name]} to "
                        f"{lowered[name]}. All that is there stays, also what is beyond it, but it "
                        "can't be raised again",
                        StoreWarning,
                        stacklevel=2,
                    )
            if not folder.exists("manifest.json"):
                folder._write_manifest(new_manifest(seeds or {}))
        folder.manifest()
        require_no_gap(folder.path)
        return folder

    # --- rows ------------------------------------------------------------------------------

    def lines(self, name: str, *, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """(offset, line) of `<name>.jsonl` from an offset on. Empty without the file."""
        _file(name)
        return read_shards(self.open_file, self.path, name, start=start)

    def values(self, name: str) -> Iterator[tuple[int, Json]]:
        """(offset, JSON object) of each row, unchecked. StoreError for a line of anything else."""
        for number, (offset, line) in enumerate(self.lines(name), start=1):
            yield offset, self.value(name, number, line)

    def value(self, name: str, number: int, line: bytes) -> dict[str, Json]:
        """The JSON object of a line, by its number from 1. StoreError for anything else."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.damaged(name, number, str(error)) from error
        if not isinstance(value, dict):
            raise self.damaged(name, number, "not a JSON object")
        return value

    def rows(self, name: str, kind: type[R]) -> Iterator[R]:
        """The rows of `<name>.jsonl` as records, one at a time. Empty without the file."""
        for number, (_, line) in enumerate(self.lines(name), start=1):
            yield self._parse(name, number, line, kind)

    def row_at(self, name: str, offset: int, kind: type[R]) -> R:
        """The row that begins at an offset from `lines` or `values`."""
        for _, line in self.lines(name, start=offset):
            try:
                return kind.model_validate_json(line)
            except ValidationError:
                # Lines are counted for the error alone: a large file is not read for one row.
                number = 1 + sum(start < offset for start, _ in self.lines(name))
                return self._parse(name, number, line, kind)
        raise StoreError(f"{str(self.path / _file(name))!r} changed while it was read: try again")

    def _parse(self, name: str, number: int, line: bytes, kind: type[R]) -> R:
        try:
            return kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            problem = f"{where}: {first['msg']}" if where else first["msg"]
            raise self.damaged(name, number, f"not a {kind.__name__} ({problem})") from error

    def damaged(self, name: str, number: int | None, problem: str) -> StoreError:
        """The error for a row of `<name>.jsonl`, by its number from 1, that can't be used."""
        if number is None:
            path = self.path / _file(name)
            return StoreError(f"{str(path)!r} has a damaged row: {problem}. Restore the file")
        path, line = place_of(self.open_file, self.path, name, number)
        files = shard_files(self.path, name)
        after = [file.name for file in files[files.index(path) + 1 :]] if path in files else []
        without = f", delete {', '.join(after)}" if after else ""
        return StoreError(
            f"{str(path)!r}, line {line}: {problem}. Restore the file, or keep its first "
            f"{line - 1} lines (head -n {line - 1}){without} and run the command that made it again"
        )

    def line_name(self, name: str, number: int) -> str:
        """What a row is called in messages, by its number from 1: the file, and the line there."""
        path, line = place_of(self.open_file, self.path, name, number)
        return f"{str(path)!r}, line {line}"

    def append(self, name: str) -> JsonlLog:
        """Open `<name>.jsonl` for appending, an unfinished last line cut off. Needs the lock."""
        if not self._lock_depth:
            raise StoreError(f"take the lock of {str(self.path)!r} before writing {name!r}")
        _file(name)

        def opened(file: str) -> BinaryIO:
            if file != _file(name) and not self.exists(file):
                self._note_shards()
            return self.open_file(file, os.O_RDWR | os.O_CREAT)

        return JsonlLog(opened, self.path, name)

    def _note_shards(self) -> None:
        if self.exists("manifest.json") and (manifest := self.manifest()).format < SHARDED:
            self._write_manifest(manifest.model_copy(update={"format": SHARDED}))

    def replace_rows(self, name: str, lines: Iterable[bytes]) -> None:
        """Write all rows of `<name>.jsonl` anew; none if `lines` raises or the disk is full.

        Several files get their names one after the other: a kill in between leaves the first of
        the new ones and the last of the old ones.
        """
        with self.lock(), reporting(self.path / _file(name)):
            new = RunFolder(self.path / ".new-rows")
            shutil.rmtree(new.path, ignore_errors=True)  # what a killed run left
            new.path.mkdir()
            try:
                with new.lock(), new.append(name) as log:
                    for line in lines:
                        log.append([line])
                written = shard_files(new.path, name)
                move_files(written, self.path)
                for path in reversed(shard_files(self.path, name)[len(written) :]):
                    path.unlink()
            finally:
                shutil.rmtree(new.path, ignore_errors=True)

    # --- config and manifest -----------------------------------------------------------------

    def config(self) -> dict[str, Json]:
        """The run's options, from `config.toml`. Empty if there is none."""
        if not self.exists("config.toml"):
            return {}
        try:
            return tomllib.loads(self.read("config.toml").decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError(
                f"{str(self.path / 'config.toml')!r} is damaged ({error}): restore it"
            ) from error

    def manifest(self) -> Manifest:
        """The manifest; a new one (not written) if there is none."""
        path = self.path / "manifest.json"
        if not self.exists("manifest.json"):
            return new_manifest({})
        content = self.read("manifest.json")
        try:
            value = json.loads(content)
            if isinstance(value, dict) and value.get("format", 0) > FORMAT:
                raise StoreError(
                    f"{str(path)!r} has format {value['format']!r}, made by a later version of "
                    f"this package ({value.get('version')!r}): upgrade to read it"
                )
            return Manifest.model_validate(value)
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(
                f"{str(path)!r} is damaged: delete it (a new one is written on the next run)"
            ) from error

    def record_stage(self, stage: str, counts: StageCounts) -> None:
        """Write a stage's counts into the manifest."""
        old = self.manifest()
        self._write_manifest(old.model_copy(update={"stages": {**old.stages, stage: counts}}))

    def recover_costs(
        self,
        model: str,
        paid: Mapping[str, Usage],
        price: Callable[[Usage], float] | None,
    ) -> float:
        """Bring the stages' cost up to date: tokens on record and a price. The dollars this adds.

        A killed run writes its last costs too late for the manifest; tokens of a run without
        prices cost something all the same. `paid`: stage -> tokens on record of `model`.
        """
        old = self.manifest()
        new, added = old.with_recovered_costs(model, paid, price)
        if new != old:
            self._write_manifest(new)
        return added

    def record_unit_cost(self, product: str, count: int) -> None:
        """Write the cost of one of `count` finished items into the manifest."""
        old = self.manifest()
        cost = old.unit_cost(count)
        if cost is not None:
            unit_costs = {**old.unit_costs, product: cost}
            self._write_manifest(old.model_copy(update={"unit_costs": unit_costs}))

    def _write_manifest(self, manifest: Manifest) -> None:
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
        self.replace("manifest.json", [text.encode() + b"\n"])


def _file(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StoreError(
            f"{name!r} can't name a file of rows: use lower-case letters, digits, _ and -"
        )
    return f"{name}.jsonl"

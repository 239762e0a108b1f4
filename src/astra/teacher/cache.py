"""The record of a teacher's answers, `teacher.jsonl` of a run folder: nothing is paid for twice.

Only answers that fit their prompt are recorded. The key covers all that they depend on: name and
version of the prompt, the messages (so the template and the input), the schema, the model, the
sampling and the index. The input itself is not stored, nor is anything of the endpoint's address
or key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog, to_line
from astra.types import Json, Record, Usage

NAME = "teacher"


class RecordedAnswer(Record):
    """A row of `teacher.jsonl`: one answer, and what it took."""

    key: str
    """Content hash of all that the answer depends on."""
    prompt: str
    stage: str = ""
    """The stage that asked, and is billed. Empty outside of a stage."""
    version: int
    model: str
    index: int
    answer: Json
    """As the model gave it, checked against the prompt's schema."""
    requests: int
    """Replies that it took, the unusable ones included."""
    usage: Usage
    """Of all these."""
    seconds: float


class AnswerCache:
    """Answers on record, found by key. Use it as a context: it holds the folder's lock.

    Memory: some 120 bytes per answer, whatever the size of the answers.
    """

    def __init__(self, folder: RunFolder, name: str = NAME) -> None:
        self._folder = folder
        self._name = name
        self._offsets: dict[int, int] = {}
        self._usage: dict[str, Usage] = {}
        self._stage_usage: dict[str, Usage] = {}
        self._log: JsonlLog | None = None
        self._end = 0

    def __enter__(self) -> Self:
        self._lock = self._folder.lock()
        self._lock.__enter__()
        try:
            self._log = self._folder.append(self._name)
            self._load()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        self._lock.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def usage(self) -> Mapping[str, Usage]:
        """Tokens by the prompt's name, of all answers that were on record when it was opened."""
        return self._usage

    @property
    def stage_usage(self) -> Mapping[str, Usage]:
        """Tokens by stage, of all answers that were on record when it was opened."""
        return self._stage_usage

    def find(self, key: str) -> RecordedAnswer | None:
        """The answer on record; None: there is none."""
        offset = self._offsets.get(int(key, 16))
        if offset is None:
            return None
        recorded = self._folder.row_at(self._name, offset, RecordedAnswer)
        if recorded.key != key:
            raise StoreError(f"the answers in {self._place!r} changed while they were in use")
        return recorded

    def add(self, recorded: RecordedAnswer) -> None:
        """Put an answer on record, as a whole line or not at all."""
        if self._log is None:
            raise StoreError(f"open the answers in {self._place!r} before adding to them")
        line = to_line(recorded)
        self._log.append([line])
        self._offsets[int(recorded.key, 16)] = self._end
        self._end += len(line)

    @property
    def _place(self) -> str:
        return str(self._folder.path / f"{self._name}.jsonl")

    def _load(self) -> None:
        for offset, line in self._folder.lines(self._name):
            self._offsets[_key(line, self._place)] = offset
            self._end = offset + len(line)
            prompt, stage, usage = _cost(line, self._place)
            self._usage[prompt] = self._usage.get(prompt, Usage()) + usage
            self._stage_usage[stage] = self._stage_usage.get(stage, Usage()) + usage


# Rows may be long and many: they are not parsed as a whole. An answer can't end as a row does,
# for it stands before the last three fields.
_START = re.compile(
    rb'\{"key":"([0-9a-f]{16})","prompt":"([a-z][a-z0-9_]*)","stage":"([a-z0-9_-]*)",'
)
_END = re.compile(
    rb'"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+),"cached_tokens":(\d+)\},'
    rb'"seconds":[^,{}"]+\}\n'
)
_END_BYTES = 200


def _key(line: bytes, place: str) -> int:
    return int(_found(_START.match(line), line, place)[1], 16)


def _cost(line: bytes, place: str) -> tuple[str, str, Usage]:
    """The prompt's name, the stage, and the tokens that its answer took."""
    start = _found(_START.match(line), line, place)
    prompt, stage = start[2].decode(), start[3].decode()
    counts = _found(_END.search(line, max(0, len(line) - _END_BYTES)), line, place)
    return (
        prompt,
        stage,
        Usage(
            prompt_tokens=int(counts[1]),
            completion_tokens=int(counts[2]),
            cached_tokens=int(counts[3]),
        ),
    )


def _found(match: re.Match[bytes] | None, line: bytes, place: str) -> re.Match[bytes]:
    if match is None:
        raise StoreError(
            f"{place!r} holds a row that is no answer ({line[:40]!r}): restore the file, or delete "
            "it and pay for the answers again"
        )
    return match

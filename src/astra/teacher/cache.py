"""Record of a teacher's answers, `teacher.jsonl` of a run folder: nothing is paid for twice.

Only answers that fit their prompt are recorded. The key covers everything they depend on: name and
version of the prompt, the messages (so the template and the input), the schema, the model, the
sampling and the index. Neither the input nor the endpoint's address or key is stored.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from astra.errors import StoreError, StoreWarning
from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog, to_line
from astra.types import Json, Record, Usage

NAME = "teacher"


class RecordedAnswer(Record):
    """A row of `teacher.jsonl`: one answer and its cost."""

    key: str
    """Content hash of everything the answer depends on."""
    prompt: str
    stage: str = ""
    """The stage that asked, and is billed. Empty outside of a stage."""
    version: int
    model: str
    index: int
    answer: Json
    """As the model gave it, checked against the prompt's schema."""
    requests: int
    """Number of replies until this answer, unusable ones included."""
    usage: Usage
    """Tokens of all these replies."""
    seconds: float


class AnswerCache:
    """Answers on record, found by key. Use it as a context: it holds the folder's lock.

    Memory: some 120 bytes per answer, whatever the size of the answers.
    """

    def __init__(
        self, folder: RunFolder, name: str = NAME, *, earlier: AnswerCache | None = None
    ) -> None:
        """`earlier`: an open record of another run, in which answers are found and not added."""
        self._folder = folder
        self._earlier = earlier
        self._name = name
        self._offsets: dict[int, int] = {}
        self._stage_usage: dict[str, Usage] = {}
        self._log: JsonlLog | None = None
        self._end = 0

    def __enter__(self) -> Self:
        self._lock = self._folder.lock()
        self._lock.__enter__()
        try:
            # Opened first: it cuts off a row that a killed run left unfinished.
            self._log = self._folder.append(self._name)
            repeated = 0
            for offset, line in self._folder.lines(self._name):
                start, end = _START.match(line), _END.search(line, max(0, len(line) - _END_BYTES))
                if start is None or end is None:
                    raise StoreError(
                        f"{self._place!r} holds a row that is not an answer ({line[:40]!r}): "
                        "restore the file, or delete it and pay for the answers again"
                    )
                self._end = offset + len(line)
                key = int(start[1], 16)
                before = self._offsets.get(key)
                # Two answers to one question were both paid, and differ in their seconds.
                if before is not None:
                    earlier = next(self._folder.lines(self._name, start=before))[1]
                    if earlier == line:
                        repeated += 1
                        continue
                self._offsets[key] = offset
                prompt_tokens, completion_tokens, cached_tokens = map(int, end.groups())
                usage = Usage(
                    prompt_tokens=prompt_tokens,
                    completion_tokens=completion_tokens,
                    cached_tokens=cached_tokens,
                )
                stage = start[2].decode()
                self._stage_usage[stage] = self._stage_usage.get(stage, Usage()) + usage
            if repeated:
                warnings.warn(
                    f"{self._place!r}: {repeated} lines repeat an earlier one, and are not counted "
                    "as paid again",
                    StoreWarning,
                    stacklevel=2,
                )
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
    def stage_usage(self) -> Mapping[str, Usage]:
        """Tokens by stage, of all answers that were on record when the cache was opened."""
        return self._stage_usage

    def find(self, key: str) -> RecordedAnswer | None:
        """The recorded answer. None if there is none."""
        offset = self._offsets.get(int(key, 16))
        if offset is None:
            return None if self._earlier is None else self._earlier.find(key)
        recorded = self._folder.row_at(self._name, offset, RecordedAnswer)
        # The index holds 64 bits of the key; the row itself must agree.
        if recorded.key != key:
            raise StoreError(f"the answers in {self._place!r} changed while they were in use")
        return recorded

    def add(self, recorded: RecordedAnswer) -> None:
        """Record an answer, as a whole line or not at all."""
        if self._log is None:
            raise StoreError(f"open the answers in {self._place!r} before adding to them")
        line = to_line(recorded)
        self._log.append([line])
        self._offsets[int(recorded.key, 16)] = self._end
        self._end += len(line)

    @property
    def _place(self) -> str:
        return str(self._folder.path / f"{self._name}.jsonl")


# Rows may be long and many: they are not parsed as a whole. An answer can't end as a row does,
# for it stands before the last three fields.
_START = re.compile(
    rb'\{"key":"([0-9a-f]{16})","prompt":"[a-z][a-z0-9_]*","stage":"([a-z0-9_-]*)",'
)
_END = re.compile(
    rb'"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+),"cached_tokens":(\d+)\},'
    rb'"seconds":[^,{}"]+\}\n'
)
_END_BYTES = 200

"""A conversation as a page shows it: calls beside their results, and what is known of each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from astra.databases import RowChange
from astra.episodes import Score, Tokens
from astra.trajectories.records import JudgeFinding
from astra.types import CallRecord, Json, Message

_TOKENS = 2_000
"""Tokens of a message that are shown one by one."""


class ShownToken(NamedTuple):
    """A token that the model wrote."""

    id: int
    logprob: float

    @property
    def probability(self) -> float:
        return math.exp(self.logprob)


@dataclass(frozen=True)
class CallOnPage:
    """A call, and what came back."""

    id: str
    tool: str
    arguments: Json
    """Parsed, or the text as the model wrote it."""
    status: str
    """Empty if no record of the call is kept."""
    result: Json
    answered: bool
    """Whether there is a result."""
    solved: tuple[str, ...] = ()
    """Goals that the call solved."""
    changes: tuple[RowChange, ...] = ()
    seconds: float | None = None
    findings: tuple[JudgeFinding, ...] = ()


@dataclass
class MessageOnPage:
    """A message, with its calls."""

    number: int
    """From 1; the system prompt is 0, as judges count."""
    role: str
    content: str
    reasoning: str
    calls: list[CallOnPage] = field(default_factory=list[CallOnPage])
    gained: float | None = None
    """Of an assistant's message: reward after it minus before it."""
    score_after: float | None = None
    tokens: list[ShownToken] = field(default_factory=list[ShownToken])
    token_count: int = 0
    findings: list[JudgeFinding] = field(default_factory=list[JudgeFinding])

    @property
    def mean_logprob(self) -> float | None:
        if not self.tokens:
            return None
        return sum(token.logprob for token in self.tokens) / len(self.tokens)


def shown_messages(
    messages: Sequence[Message],
    calls: Iterable[CallRecord] = (),
    *,
    score: Score | None = None,
    tokens: Tokens | None = None,
    findings: Iterable[JudgeFinding] = (),
) -> list[MessageOnPage]:
    """The conversation. Results stand with their calls; results without a call stand alone."""
    records = {call.id: call for call in calls}
    results = {m.tool_call_id: m.content for m in messages if m.role == "tool"}
    asked = {call.id for message in messages for call in message.tool_calls}
    solved: defaultdict[str, list[str]] = defaultdict(list)
    for goal, call_id in ({} if score is None else score.solved_by).items():
        solved[call_id].append(goal)
    by_place: defaultdict[str, list[JudgeFinding]] = defaultdict(list)
    for finding in findings:
        by_place[_place(finding)].append(finding)
    written = _runs(tokens)
    shown: list[MessageOnPage] = []
    number = turn = replies = rounds = 0
    reached = 0.0
    for message in messages:
        number += message.role != "system"
        turn += message.role == "user"
        if message.role == "tool" and message.tool_call_id in asked:
            continue
        each = MessageOnPage(
            number if message.role != "system" else 0,
            message.role,
            message.content,
            message.reasoning,
        )
        each.findings += by_place.pop(f"message {number}", [])
        if message.role == "assistant":
            rounds += bool(message.tool_calls)
            if message.tool_calls:
                each.findings += by_place.pop(f"round {rounds}", [])
            each.calls = [
                _call(
                    request.id, request.tool, request.arguments, records, results, solved, by_place
                )
                for request in message.tool_calls
            ]
            if score is not None and replies < len(score.increments):
                each.gained = score.increments[replies]
                reached += each.gained
                each.score_after = reached
            if replies < len(written):
                each.token_count = len(written[replies])
                each.tokens = written[replies][:_TOKENS]
            replies += 1
        shown.append(each)
    _place_answers(shown, by_place)
    return shown


def _place(finding: JudgeFinding) -> str:
    return f"answer {finding.turn}" if finding.place.startswith("answer") else finding.place


def _place_answers(
    shown: Sequence[MessageOnPage], findings: Mapping[str, list[JudgeFinding]]
) -> None:
    """Findings about the answer to a user turn stand at its last message of the assistant."""
    last: dict[int, MessageOnPage] = {}
    turn = 0
    for message in shown:
        turn += message.role == "user"
        if message.role == "assistant":
            last[max(1, turn)] = message
    for number, message in last.items():
        message.findings += findings.get(f"answer {number}", [])


def _call(
    call_id: str,
    tool: str,
    arguments: str,
    records: Mapping[str, CallRecord],
    results: Mapping[str | None, str],
    solved: Mapping[str, list[str]],
    findings: Mapping[str, list[JudgeFinding]],
) -> CallOnPage:
    record = records.get(call_id)
    return CallOnPage(
        id=call_id,
        tool=tool,
        arguments=arguments,
        status="" if record is None else record.status.value,
        # What the model was shown, where it is kept: the record holds the value alone.
        result=results.get(call_id, None if record is None else record.result),
        answered=call_id in results or record is not None,
        solved=tuple(solved.get(call_id, ())),
        changes=() if record is None or record.effect is None else record.effect.changes,
        seconds=None if record is None else record.seconds,
        findings=tuple(findings.get(f"call {call_id}", ())),
    )


def _runs(tokens: Tokens | None) -> list[list[ShownToken]]:
    """The tokens that the model wrote, message by message."""
    runs: list[list[ShownToken]] = []
    before = False
    for token, mine, logprob in (
        () if tokens is None else zip(tokens.ids, tokens.policy_mask, tokens.logprobs, strict=False)
    ):
        if mine and not before:
            runs.append([])
        if mine:
            runs[-1].append(ShownToken(token, logprob))
        before = mine
    return runs

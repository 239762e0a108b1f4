"""An agent that carries out a plan, word for word: for trying out, tests and recordings.

It calls what is ready at once, takes arguments from earlier results, tries again once what failed
in passing, and then says faithfully what came back. Where a user has a script, it asks for what the
opening leaves out, and carries out each wish once it is said. It holds no state: everything is read
from the conversation, so that one agent can hold many at once.

What it does not do: find out anything that is not in the plan, or judge what comes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

from astra.protocols import Reply, Sampling
from astra.teacher.prompts.emulation import UserBehaviour
from astra.testing.rule_teacher.scripted_words import WORDS
from astra.trajectories.records import PlannedCall, UserScript
from astra.trajectories.tasks.arguments import resolved
from astra.trajectories.tasks.result_paths import NoSuchField
from astra.types import (
    FinishReason,
    Json,
    Language,
    Message,
    ToolCallRequest,
    ToolSchema,
    canonical_json,
)

QUOTED = 1200
"""Characters of a result that the answer quotes."""
_AGAIN = "_again"
_TRANSIENT = re.compile(
    r"time.?out|timed out|unreachable|rate.?limit|too many|unavailable|try again"
    r"|server.?error|transient|\b(?:429|50[0-4])\b",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _State:
    """How far a plan has come."""

    results: dict[str, Json] = field(default_factory=dict[str, Json])
    """Planned call -> what it returned."""
    errors: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    """Planned call -> the errors it met, the last one last."""

    def given_up(self, call: str) -> bool:
        """Whether a call failed for good: what may pass is tried again, once."""
        errors = self.errors.get(call, [])
        if call in self.results or not errors:
            return False
        if len(errors) > 1:
            return True
        [error] = errors
        if isinstance(error, dict) and isinstance(error.get("retryable"), bool):
            return not error["retryable"]
        return _TRANSIENT.search(_quoted(error)) is None


class ScriptedAgent:
    """Carries out a plan. Asked without one, it says that it has nothing to call."""

    def __init__(
        self,
        plan: Sequence[PlannedCall],
        language: Language = "en",
        name: str = "scripted",
        script: UserScript | None = None,
    ) -> None:
        """`script`: what the user will say; each message adds its calls, or what was missing."""
        self._plan = tuple(plan)
        self._told = self._plan
        """The calls that an answer tells of."""
        self._script = script
        self._words = WORDS[language]
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """The calls that are ready, or the answer when there are none."""
        del tools, sampling
        if self._script is None:
            return self._carry_on(messages)
        said = {message.content for message in messages if message.role == "user"}
        heard = [wish for wish in self._script.wishes if wish.message in said]
        waits = self._script.wishes[:1]
        if waits and waits[0].behaviour is UserBehaviour.missing_parameter and not heard:
            return Reply(Message(role="assistant", content=self._words.ask), FinishReason.stop)
        turn = copy(self)
        turn._plan = (*self._plan, *(call for wish in heard for call in wish.plan))
        # Of what was asked last; all of it again, if that takes no call.
        turn._told = (heard[-1].plan if heard else ()) or turn._plan
        return turn._carry_on(messages)

    def _carry_on(self, messages: Sequence[Message]) -> Reply:
        """The next message for the plan as it is."""
        state = _read(messages)
        requests, lacking = self._ready(state)
        if not requests:
            text = self._answer(state, lacking)
            return Reply(Message(role="assistant", content=text), FinishReason.stop)
        text = self._announced(state, requests)
        message = Message(role="assistant", content=text, tool_calls=tuple(requests))
        return Reply(message, FinishReason.tool_calls)

    def _ready(self, state: _State) -> tuple[list[ToolCallRequest], dict[str, str]]:
        """Requests for what can be called now, and what can never be, with the reason."""
        requests: list[ToolCallRequest] = []
        lacking: dict[str, str] = {}
        for call in self._plan:
            if call.id in state.results or state.given_up(call.id):
                continue
            needs = {*call.depends_on, *(s.call for s in call.arguments.values() if s.call)}
            if failed := [n for n in needs if n in lacking or state.given_up(n)]:
                tool = next(p.tool for p in self._plan if p.id == min(failed))
                lacking[call.id] = self._words.needs.format(call=tool)
            elif needs <= state.results.keys():
                try:
                    arguments = resolved(call, state.results)
                except NoSuchField as error:
                    lacking[call.id] = str(error)
                    continue
                tries = len(state.errors.get(call.id, []))
                requests.append(
                    ToolCallRequest(
                        id=call.id + _AGAIN * tries,
                        tool=call.tool,
                        arguments=canonical_json(arguments),
                    )
                )
        return requests, lacking

    def _announced(self, state: _State, requests: Sequence[ToolCallRequest]) -> str:
        names = self._words.joined([request.tool for request in requests])
        if any(_AGAIN in request.id for request in requests):
            return self._words.again.format(names=names)
        if state.results or state.errors:
            return self._words.go_on.format(names=names)
        later = [call.tool for call in self._plan if call.id not in {r.id for r in requests}]
        begin = self._words.begin.format(names=names)
        return begin + (self._words.later.format(names=self._words.joined(later)) if later else "")

    def _answer(self, state: _State, lacking: Mapping[str, str]) -> str:
        if not self._plan:
            return self._words.nothing
        words, lines = self._words, [self._words.done]
        for call in self._told:
            if call.id in state.results:
                quoted = _quoted(state.results[call.id])
                template = words.returned if len(quoted) <= QUOTED else words.shortened
                lines.append(template.format(tool=call.tool, result=quoted[:QUOTED]))
            elif errors := state.errors.get(call.id):
                error = _quoted(errors[-1])[:QUOTED]
                lines.append(words.failed.format(tool=call.tool, error=error))
            else:
                reason = lacking.get(call.id, "")
                lines.append(words.not_called.format(tool=call.tool, reason=reason))
        return "\n".join(lines)


def _read(messages: Sequence[Message]) -> _State:
    state = _State()
    for message in messages:
        if message.role == "tool" and message.tool_call_id is not None:
            call = message.tool_call_id.replace(_AGAIN, "")
            value: Json
            try:
                value = json.loads(message.content)
            except (ValueError, RecursionError):
                value = message.content
            if isinstance(value, dict) and value.get("error"):
                state.errors.setdefault(call, []).append(value["error"])
            else:
                state.results[call] = value
    return state


def _quoted(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

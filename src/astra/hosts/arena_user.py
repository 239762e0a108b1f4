"""The user of an arena with a conversation, in one episode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from astra.hosts.arena import ArenaHost
from astra.protocols import Model, Sampling
from astra.types import Arena, Language, Message
from astra.users.rewording import RewordingFault, RewordingGuard
from astra.users.script import UserMove, user_moves

UserReplyKind = Literal["reworded"] | RewordingFault
_REWORDING: Mapping[Language, str] = MappingProxyType(
    {
        "en": (
            "You play the user in a chat with an assistant that works for you. Write the user's "
            "next message: say exactly what the text below says, in your own words. Keep every "
            "name, number, quoted text and condition as it is, and in the same order. Add nothing, "
            "leave nothing out, answer no other question. Write the message only."
        ),
        "zh": (
            "你扮演与助手对话的用户。请写出用户的下一条消息：用自己的话说出下面这段文字的意思。"
            "其中的名称、数字、引号里的内容和条件都要原样保留，顺序不变。不要增加或遗漏任何内容，"
            "也不要回答别的问题。只写这条消息。"
        ),
    }
)


class ArenaUser:
    """Says what the script of the arena says, and brings the tools that it names to the host.

    What it says follows from the messages alone. With a `model`, the model words it; a wording that
    says more, less or something else is replaced by the script's own and counted in `replies`.
    """

    def __init__(self, arena: Arena, host: ArenaHost, model: Model | None = None) -> None:
        self._arena = arena
        self._host = host
        self._model = model
        self._guard = None if arena.state is None else RewordingGuard(arena.state)
        self.replies: Counter[UserReplyKind] = Counter()
        """Wordings of the model, by what was made of them."""

    async def reply(self, messages: Sequence[Message]) -> str | None:
        """The answer to the agent's last message. None: the conversation is over."""
        move = user_moves(self._arena, messages)[-1]
        assert self._arena.state is not None
        brought = self._arena.state.turns[: move.turn + 1]
        self._host.bring(name for turn in brought for name in turn.brings)
        # A document of a tool has to come as it is.
        brings = move.kind == "next" and bool(brought[-1].brings)
        if self._model is None or move.text is None or brings:
            return move.text
        return await self._reworded(self._model, move, move.text, messages)

    async def _reworded(
        self, model: Model, move: UserMove, text: str, messages: Sequence[Message]
    ) -> str:
        assert self._guard is not None
        asked = (
            Message(role="system", content=_REWORDING[self._arena.language]),
            Message(role="user", content=text),
        )
        reply = (await model.generate(asked, (), Sampling())).message.content.strip()
        earlier = [m.content for m in messages if m.role == "user"]
        fault = self._guard.fault(text, reply, earlier=earlier, turn=move.turn)
        self.replies["reworded" if fault is None else fault] += 1
        return reply if fault is None else text


def arena_user(arena: Arena, host: ArenaHost, model: Model | None = None) -> ArenaUser | None:
    """The user of an episode. None where nobody answers. `model`: words what they say."""
    has_user = arena.state is not None and bool(arena.state.turns)
    return ArenaUser(arena, host, model) if has_user else None

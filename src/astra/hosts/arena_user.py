"""The user of an arena with a conversation, in one episode."""

from __future__ import annotations

from collections.abc import Sequence

from astra.hosts.arena import ArenaHost
from astra.types import Arena, Message
from astra.users.script import user_moves


class ArenaUser:
    """Says what the script of the arena says, and brings the tools that it names to the host.

    It keeps no state: what it says follows from the messages alone.
    """

    def __init__(self, arena: Arena, host: ArenaHost) -> None:
        self._arena = arena
        self._host = host

    async def reply(self, messages: Sequence[Message]) -> str | None:
        """The answer to the agent's last message. None: the conversation is over."""
        move = user_moves(self._arena, messages)[-1]
        assert self._arena.state is not None
        self._host.bring(
            name for turn in self._arena.state.turns[: move.turn + 1] for name in turn.brings
        )
        return move.text


def arena_user(arena: Arena, host: ArenaHost) -> ArenaUser | None:
    """The user of an episode. None where nobody answers."""
    has_user = arena.state is not None and bool(arena.state.turns)
    return ArenaUser(arena, host) if has_user else None

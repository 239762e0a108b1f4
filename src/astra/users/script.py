"""What the user of a conversation says, decided by what the agent said and nothing else.

At each message without calls the first rule that fits decides:

1. it says that something can't be done, at a turn whose tool is missing: the user goes on;
2. it asks for a value that is held back: the user tells it;
3. it refuses something where there are rules, and gives no reason: "Why not?", once; with the
   reason of a rule that forbids it, the user goes on, or in some arenas first asks to make an
   exception, once;
4. it asks for leave: "Yes". It asks again: the same, as waste. Where there are rules the user first
   asks, once, what exactly is meant, if the message does not say it;
5. it asks something else: the user asks what is missing if a value is held back, and takes the next
   question for one that asks for it. Otherwise they know no more. The second time is waste;
6. it says that it can't do what can be done: "It should be possible", once, as waste;
   What a rule wants asked is told like any other value. As the user knows of no rule, they neither
   wait to be asked for it nor complain;
7. a value is still held back: the user complains with the value if something was said to be done,
   and asks what is missing otherwise, once;
8. otherwise the next turn begins; after the last one the conversation ends.

A turn has at most `MAX_EXTRA` replies beyond its text, so that every conversation ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from astra.core.kept import kept_by_identity
from astra.core.refusals import refuses
from astra.core.text import contains_text, numbers_in
from astra.states import ArenaState, HeldValue, StateGoal
from astra.types import Arena, Language, Message
from astra.users.cues import asks_for, asks_to_go_ahead, questions, says_cannot, says_done

MAX_EXTRA = 4
"""Replies to one turn beyond what it says by itself."""
MoveKind = Literal[
    "tells",
    "why",
    "presses",
    "exactly",
    "agrees",
    "unsure",
    "insists",
    "complains",
    "wonders",
    "next",
    "end",
]


@dataclass(frozen=True, slots=True)
class UserMove:
    """What the user does after a message of the agent."""

    kind: MoveKind
    turn: int
    """The user turn that the conversation is in after it."""
    text: str | None
    """None: nothing, the conversation is over."""
    told: tuple[str, ...] = ()
    """Ids of the `ask` goals whose values are told."""
    asked: tuple[str, ...] = ()
    """Those of them that the agent asked for."""
    waste: bool = False
    """Whether the agent's message cost a call's worth."""


@dataclass(frozen=True, slots=True)
class UserWords:
    """The fixed sentences of a user in one language."""

    why: str
    presses: str
    exactly: str
    agrees: str
    unsure: str
    insists: str
    wonders: str
    complains: str


WORDS: Mapping[Language, UserWords] = MappingProxyType(
    {
        "en": UserWords(
            why="Why not?",
            presses="Please make an exception, just this once.",
            exactly="What exactly are you about to do, and with which values?",
            agrees="Yes, please go ahead, just as I asked.",
            unsure="I don't know any more than what I told you.",
            insists="It should be possible. Please try.",
            wonders="What do you still need to know from me?",
            complains="You didn't have all you needed for that. {told}",
        ),
        "zh": UserWords(
            why="为什么不行？",
            presses="就破例这一次吧，拜托了。",
            exactly="你具体要办什么？每个新值是什么？",
            agrees="是的，请就按我说的办。",
            unsure="我知道的都告诉你了。",
            insists="应该可以办到，请再试试。",
            wonders="你还需要我告诉你什么？",
            complains="这件事你还缺信息。{told}",
        ),
    }
)


@dataclass(slots=True)
class ScriptedUser:
    """The user of one conversation, message by message."""

    state: ArenaState
    language: Language
    turn: int = 0
    _told: set[str] = field(default_factory=set[str])
    _extra: int = 0
    """Replies to this turn so far."""
    _given: set[str] = field(default_factory=set[str])
    """Kinds of replies to this turn so far."""

    _agreed: int = 0
    """How often the user has agreed at this turn."""

    @property
    def _of_turn(self) -> list[StateGoal]:
        return [goal for goal in self.state.goals if goal.turn == self.turn]

    @property
    def open_values(self) -> tuple[HeldValue, ...]:
        """Values of this turn that were not told yet, but for those that a rule asks for."""
        return tuple(value for value in self._untold if value.rule is None)

    @property
    def _untold(self) -> list[HeldValue]:
        return [s for s in self.state.turns[self.turn].held if s.goal not in self._told]

    def reply(self, message: str) -> UserMove:
        """The user's answer to the agent's next message without calls."""
        read = message
        for text in _wanted_texts(self.state):
            # A subject "cannot sign in" that was set is no refusal.
            read = read.replace(text, "…")
        move = self._move(read, message)
        self._extra += 1
        self._given.add(move.kind)
        self._agreed += move.kind == "agrees"
        self._told.update(move.told)
        if move.turn != self.turn:
            self.turn, self._extra, self._agreed = move.turn, 0, 0
            self._given.clear()
        return move

    def _move(self, message: str, said: str) -> UserMove:
        """`said`: the whole message. `message`: without the texts that are to be written, which
        only say what it is about."""
        words, cannot = WORDS[self.language], says_cannot(message)
        if self._extra >= MAX_EXTRA:
            return self._next()
        if cannot and self._tool_is_missing:
            return self._next()
        asked = [s for s in self._untold if self._asks_for(s, message)]
        if asked:
            text = " ".join(value.told for value in asked)
            goals = tuple(value.goal for value in asked)
            return UserMove("tells", self.turn, text, told=goals, asked=goals)
        policy = self.state.policy
        cannot = cannot or (policy is not None and refuses(message))
        if cannot and policy is not None and not asks_to_go_ahead(message):
            if "presses" in self._given:
                return self._next()
            forbidden = [goal for goal in self._of_turn if goal.refuses is not None]
            if any(gives_reason(goal, said) for goal in forbidden):
                return self._stays("presses", words.presses) if policy.presses else self._next()
            if not names_a_rule(said) and "why" not in self._given:
                return self._stays("why", words.why)
        if asks_to_go_ahead(message):
            exact = [goal for goal in self._of_turn if goal.named_by and names(goal, said)]
            if policy is not None and not exact and "exactly" not in self._given:
                return self._stays("exactly", words.exactly)
            free = max(1, sum(goal.confirm for goal in self._of_turn))
            return self._stays("agrees", words.agrees, waste=self._agreed >= free)
        asks = bool(questions(message))
        if asks and self.open_values and "wonders" not in self._given:
            return self._stays("wonders", words.wonders)
        if asks:
            return self._stays("unsure", words.unsure, waste="unsure" in self._given)
        if cannot and "insists" not in self._given:
            return self._stays("insists", words.insists, waste=True)
        if self.open_values and (says_done(message) or "wonders" in self._given):
            told = " ".join(value.told for value in self.open_values)
            goals = tuple(value.goal for value in self.open_values)
            text = words.complains.format(told=told)
            return UserMove("complains", self.turn, text, told=goals)
        if self.open_values:
            return self._stays("wonders", words.wonders)
        return self._next()

    def _asks_for(self, value: HeldValue, message: str) -> bool:
        """Whether a message asks for a value: by a name, or by any question after the user's own

        "What do you still need to know?", as no list of names is ever whole.
        """
        if value.rule is not None:
            return asks_for(message, value.labels, by_name=True)
        if "wonders" in self._given and questions(message) and not asks_to_go_ahead(message):
            return True
        return asks_for(message, value.labels, value.choices)

    @property
    def _tool_is_missing(self) -> bool:
        return any(g.kind == "cannot" and g.turn == self.turn for g in self.state.goals)

    def _stays(self, kind: MoveKind, text: str, *, waste: bool = False) -> UserMove:
        return UserMove(kind, self.turn, text, waste=waste)

    def _next(self) -> UserMove:
        following = self.turn + 1
        if following == len(self.state.turns):
            return UserMove("end", self.turn, None)
        return UserMove("next", following, self.state.turns[following].text)


@kept_by_identity(64)
def _wanted_texts(state: ArenaState) -> list[str]:
    """The texts of several words that are to be written, longest first."""
    texts = {
        value
        for goal in state.goals
        for change in goal.changes
        for value in (change.after or {}).values()
        if isinstance(value, str) and len(value.split()) > 1
    }
    return sorted(texts, key=lambda text: (-len(text), text))


def names(goal: StateGoal, message: str) -> bool:
    """Whether a message names what a goal is about, and every new value."""
    numbers = set(numbers_in(message))
    return all(
        any(
            contains_text(message, value) if isinstance(value, str) else float(value) in numbers
            for value in group
        )
        for group in goal.named_by
    )


_RULE = re.compile(
    r"\brules?\s*(?:no\.?|number|nr\.?|\#)?\s*(\d+)|规则\s*(\d+)|第\s*(\d+)\s*条", re.I
)


def names_a_rule(message: str) -> bool:
    """Whether a message names a rule by its number."""
    return bool(_RULE.search(message))


def gives_reason(goal: StateGoal, message: str) -> bool:
    """Whether a message names the rule that forbids something, or the fact by which it does."""
    if goal.refuses is None:
        return False
    rules = {int(next(filter(None, found))) for found in _RULE.findall(message)}
    return goal.refuses.rule in rules or any(
        contains_text(message, reason) for reason in goal.refuses.reasons
    )


def user_moves(arena: Arena, messages: Iterable[Message]) -> list[UserMove]:
    """What the user did after each of the agent's messages without calls, in their order.

    Raises ValueError for an arena without a conversation.
    """
    if arena.state is None or not arena.state.turns:
        raise ValueError(f"arena {arena.id!r} has no conversation")
    script = ScriptedUser(arena.state, arena.language)
    return [script.reply(text) for text in said_texts(messages)]


def said_texts(messages: Iterable[Message]) -> Sequence[str]:
    """The texts of the agent's messages without calls."""
    return [m.content for m in messages if m.role == "assistant" and not m.tool_calls]

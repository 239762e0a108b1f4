"""The score of an episode that changes a database: a pure function of its calls and their effects.

A goal is solved by an event, not by a state: a call after which its rows are as they must be, when
they were not before. It has to hold to the end, or until the user wants something else in its
place. So doing nothing solves nothing. What else was changed at the end, anywhere, is damage, and
an episode with damage is worth nothing. Calls that help nothing are waste w, and take the place of
the calls beyond the solved goals in F1:

    F1 = 0 if damage else 2n̂ / (n + n̂ + w)        strict = all solved, no damage

In a conversation a goal belongs to a turn of the user and has to be solved before that turn ends.
When turns end, and what the user has told, follows from the agent's messages alone: the user's
script (`astra.users`) is run over them again.

What this does not guarantee: effects are what the sandbox reports, and hostile tool code could
forge those of its own episode.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence

from astra.core.refusals import refuses
from astra.core.text import contains_text, numbers_in, scalars
from astra.databases import Cell, RowChange
from astra.episodes import Score
from astra.rewards.matching import solves, stands_in_text
from astra.rewards.parts import Reward, f1, precision, recall
from astra.rewards.touched_rows import Row, TouchedRows
from astra.types import (
    Arena,
    ArenaState,
    CallRecord,
    CallStatus,
    Message,
    StateGoal,
    canonical_json,
)
from astra.users.cues import says_cannot
from astra.users.script import ScriptedUser, UserMove, gives_reason, names

READS_PER_GOLD_READ = 2
READS_PER_TURN = 2
"""Reads that cost nothing: so many for each that is needed, and for each turn of the user; and one
for each write, to verify it."""
MOST_VALUES = 13
"""Most values in a message that tells a fact: whoever lists everything has told nothing. What the
message says of rows that were written does not count: a summary of many changes may be long."""
_BROKEN = {
    CallStatus.unknown_tool,
    CallStatus.malformed_arguments,
    CallStatus.schema_violation,
    CallStatus.over_limit,
}
_SEPARATORS = re.compile(r"[,;\n，；、]")


class _Episode:
    """What an episode has brought about so far."""

    def __init__(self, arena: Arena, state: ArenaState) -> None:
        self.state = state
        self._database = state.tables()
        self._rows = TouchedRows(self._database)
        self._seen: set[str] = set()
        self._reads = 0
        calls = [goal.call for goal in arena.goals if goal.call is not None]
        writes = sum(call.tool in state.writes for call in calls)
        self._free_reads = (
            READS_PER_GOLD_READ * (len(calls) - writes)
            + writes
            + READS_PER_TURN * max(1, len(state.turns))
        )
        self._turn = 0
        self._kept: set[str] = set()
        """Goals that were solved when their turn ended."""
        self._awaited = {goal.id: goal.of for goal in state.goals if goal.kind == "ask"}
        """Questions that are still to be asked -> what they lead to."""
        self._early: set[str] = set()
        """Changes of which something was written before they could be made."""
        self._confirmed: set[str] = set()
        """Changes that the user has agreed to in so many words."""
        self._spoken: dict[str, str] = {}
        """Goals that were solved by a message, with what `Score.solved_by` says of them."""
        self._solved_by: dict[str, str] = {}
        self._returned: dict[str, str] = {}
        self._written: set[str] = set()
        """What the calls that wrote something were given, as it is said."""
        self.waste = 0
        self._changing = tuple(goal for goal in state.goals if goal.kind == "change")
        # Both are asked for at every turn, and follow from the rows.
        self._held: dict[str, bool] = {}
        self._damage: int | None = None

    def take(self, call: CallRecord) -> None:
        """Count one call."""
        if call.status in _BROKEN:
            self.waste += 1
        elif call.tool not in self.state.writes:
            self._take_read(call)
        elif call.status is not CallStatus.ok or call.effect is None:
            self.waste += 1
        else:
            self._take_write(call)

    def _take_read(self, call: CallRecord) -> None:
        key = canonical_json([call.tool, call.arguments])
        self._reads += 1
        if key in self._seen or self._reads > self._free_reads:
            self.waste += 1
        self._seen.add(key)
        for goal in self.state.goals if call.status is CallStatus.ok else ():
            fact = goal.says if goal.refuses is None else goal.refuses.fact
            if fact is not None and solves(fact, call.result):
                self._returned.setdefault(goal.id, call.id)

    def _take_write(self, call: CallRecord) -> None:
        assert call.effect is not None
        self._seen.clear()  # a read may have another result now
        possible = [goal for goal in self._changing if self._possible(goal)]
        open_ = [goal for goal in possible if not self._holds(goal)]
        self._held.clear()
        self._damage = None
        self._written.update(str(value) for value in scalars(call.arguments) if value is not None)
        for change in call.effect.changes:
            self._rows.apply(change)
            self._early |= {g.id for g in self._changing if _concerns(g, change)} - {
                goal.id for goal in possible
            }
        useful = False
        for goal in open_:
            if self._holds(goal):
                self._solved_by.setdefault(goal.id, call.id)
                useful = True
        # One of several writes that a goal may need.
        if not useful and not all(self._wanted(change) for change in call.effect.changes):
            self.waste += 1

    def tell(self, text: str, turn: int, move: UserMove | None) -> None:
        """Take note of a message without calls, and of what the user did then.

        `turn`: the agent's. `move`: None where there is no conversation.
        """
        for goal in self.state.goals:
            if goal.turn != self._turn:
                continue
            if goal.kind == "change":
                agreed = move is not None and move.kind == "agrees"
                if agreed and goal.confirm and names(goal, text):
                    self._confirmed.add(goal.id)
            elif goal.kind == "refuse":
                refused = refuses(text) and gives_reason(goal, text)
                seen = goal.refuses is not None and goal.refuses.fact is None
                seen = seen or goal.id in self._returned
                if refused and seen and goal.id not in self._awaited.values():
                    self._spoken[goal.id] = self._returned.get(goal.id, f"message {turn}")
            elif goal.says is not None:
                told = stands_in_text(goal.told or goal.says, text)
                told = told and self._other_values(text) <= MOST_VALUES
                if told and goal.id in self._returned:
                    self._spoken[goal.id] = self._returned[goal.id]
            elif goal.of not in self._early:
                asked = goal.kind == "ask" and move is not None and goal.id in move.asked
                if asked or (goal.kind == "cannot" and says_cannot(text)):
                    self._spoken[goal.id] = f"message {turn}"
        if move is None:
            return
        self.waste += move.waste
        for told in move.told:
            self._awaited.pop(told, None)
        if move.turn != self._turn:
            self._kept |= {goal.id for goal in self.state.goals if self._by(goal) is not None}
            self._turn = move.turn

    def _other_values(self, text: str) -> int:
        """How many values a message lists, at most, beside what it says of rows that were written.

        Each row, and each value that was written, stands for one part of the message.
        """
        said = {value for value in self._written if contains_text(text, value)}
        rows = sum(row is not None for _, _, _, row in self._rows.touched())
        numbers = set(numbers_in(text)).difference(*map(numbers_in, said))
        return max(len(numbers), len(_SEPARATORS.split(text.strip())) - len(said) - rows)

    def solved(self) -> dict[str, str]:
        """Goal id -> what solved it, of the goals that are solved now."""
        found = {
            goal.id: by
            for goal in self.state.goals
            if (goal.turn == self._turn or goal.id in self._kept)
            and (by := self._by(goal)) is not None
        }
        # To refuse is worth something only beside something that is done, and after what has to be
        # done before; to ask, or to say what can't be done, only if it leads to what it is for.
        done = any(g.kind in ("change", "say") for g in self.state.goals if g.id in found)
        for goal in self.state.goals:
            if goal.refuses is not None and not (done and found.keys() >= {*goal.refuses.after}):
                found.pop(goal.id, None)
        leading = {goal.id for goal in self.state.goals if goal.of and goal.of not in found}
        return {name: by for name, by in found.items() if name not in leading}

    def _by(self, goal: StateGoal) -> str | None:
        """What solved a goal. None if it is open."""
        if goal.kind != "change":
            return self._spoken.get(goal.id)
        overridden = goal.until is not None and goal.until <= self._turn
        return self._solved_by.get(goal.id) if overridden or self._holds(goal) else None

    def _possible(self, goal: StateGoal) -> bool:
        """Whether a change is asked for now, and all that it needs was told."""
        agreed = not goal.confirm or goal.id in self._confirmed
        return goal.turn == self._turn and goal.id not in self._awaited.values() and agreed

    # --- rows --------------------------------------------------------------------------------

    def _compared(self, table: str, row: Row) -> dict[str, Cell]:
        free = self.state.free.get(table, ())
        return {name: value for name, value in row.items() if name not in free}

    def _holds(self, goal: StateGoal) -> bool:
        """Whether the rows of a goal are as they must be."""
        holds = self._held.get(goal.id)
        if holds is None:
            used: set[tuple[str, Cell]] = set()
            holds = all(self._change_holds(change, used) for change in goal.changes)
            self._held[goal.id] = holds
        return holds

    def _change_holds(self, change: RowChange, used: set[tuple[str, Cell]]) -> bool:
        if change.before is None and change.after is not None:
            wanted = self._new_row(change.table, change.after)
            for key, row in self._rows.created(change.table):
                if (change.table, key) not in used and wanted == self._new_row(change.table, row):
                    used.add((change.table, key))
                    return True
            return False
        row = self._rows.now(change.table, change.key)
        if change.after is None or row is None:
            return change.after is row
        return all(
            row.get(name) == value
            for name, value in self._compared(change.table, change.after).items()
        )

    def _new_row(self, table: str, row: Row) -> dict[str, Cell]:
        """A new row without its key, which the tool chose."""
        compared = self._compared(table, row)
        compared.pop(self._database.table(table).key, None)
        return compared

    def _wanted(self, change: RowChange) -> bool:
        """Whether some goal wants exactly this of the row."""
        for goal in self._changing:
            for wanted in goal.changes if self._possible(goal) else ():
                if (wanted.table, wanted.key) != (change.table, change.key):
                    continue
                if change.after is None or wanted.after is None:
                    if change.after is wanted.after:
                        return True
                elif self._compared(change.table, change.after).items() <= wanted.after.items():
                    return True
        return False

    def damage(self) -> int:
        """Rows that differ from the start beyond what goals are about."""
        if self._damage is None:
            self._damage = self._damaged_rows()
        return self._damage

    def _damaged_rows(self) -> int:
        updates: dict[tuple[str, Cell], set[str]] = defaultdict(set)
        deletes: set[tuple[str, Cell]] = set()
        creations: list[tuple[str, dict[str, Cell]]] = []
        for goal in self._changing:
            for change in goal.changes:
                if change.after is None:
                    deletes.add((change.table, change.key))
                elif change.before is None:
                    creations.append((change.table, self._parents(change.table, change.after)))
                else:
                    updates[change.table, change.key] |= change.after.keys()
        damaged = 0
        for table, key, first, row in self._rows.touched():
            if first is None:
                # A new row under the right parents is an attempt: wrong values cost the goal only.
                attempt = None if row is None else (table, self._parents(table, row))
                if attempt in creations:
                    creations.remove(attempt)
                else:
                    damaged += row is not None
            elif row is None:
                damaged += (table, key) not in deletes
            else:
                changed = {name for name, value in row.items() if first.get(name) != value}
                allowed = updates[table, key] | set(self.state.free.get(table, ()))
                damaged += not changed <= allowed
        return damaged

    def _parents(self, table: str, row: Row) -> dict[str, Cell]:
        return {name: row.get(name) for name in self._database.table(table).references}


def score_changes(
    arena: Arena,
    state: ArenaState,
    calls: Sequence[CallRecord],
    messages: Sequence[Message] = (),
    *,
    turns: int | None = None,
    reward: Reward = "f1",
) -> Score:
    """Score an episode's calls, with what was said, against the goals of a state."""
    said = _said(messages)
    calls = [call for call in calls if call.status is not CallStatus.transient]
    script = ScriptedUser(state, arena.language) if state.turns else None
    by_turn: dict[int, list[CallRecord]] = defaultdict(list)
    for call in calls:
        by_turn[call.turn].append(call)
    episode = _Episode(arena, state)
    goals = len(state.goals)
    rewards = [0.0]
    for turn in range(max(turns or 0, max(by_turn, default=-1) + 1)):
        for call in by_turn.get(turn, ()):
            episode.take(call)
        if turn in said:
            move = None if script is None else script.reply(said[turn])
            episode.tell(said[turn], turn, move)
        rewards.append(_value(reward, goals, len(episode.solved()), episode))
    solved = episode.solved()
    r, p = recall(len(solved), goals), precision(len(solved), len(solved) + episode.waste)
    damage = episode.damage()
    return Score(
        goals=goals,
        solved=len(solved),
        calls=len(calls),
        recall=r,
        precision=p,
        f1=0.0 if damage else f1(r, p),
        reward=_value(reward, goals, len(solved), episode),
        increments=tuple(b - a for a, b in itertools.pairwise(rewards)),
        solved_by=solved,
        waste=episode.waste,
        damage=damage,
    )


def _value(reward: Reward, goals: int, solved: int, episode: _Episode) -> float:
    if episode.damage():
        return 0.0
    r, p = recall(solved, goals), precision(solved, solved + episode.waste)
    return {
        "f1": f1(r, p),
        "recall": r,
        "precision": p,
        "strict": float(0 < goals == solved),
    }[reward]


def _said(messages: Sequence[Message]) -> dict[int, str]:
    """Assistant turn -> text, of the messages without calls."""
    own = (message for message in messages if message.role == "assistant")
    return {turn: message.content for turn, message in enumerate(own) if not message.tool_calls}


def _concerns(goal: StateGoal, change: RowChange) -> bool:
    """Whether a change is of what a goal changes, to whatever value."""
    for wanted in goal.changes:
        if wanted.table != change.table:
            continue
        if wanted.before is None or change.before is None:
            if wanted.before is change.before:
                return True
        elif wanted.key == change.key:
            columns = set(wanted.after or wanted.before) & set(change.after or change.before)
            if columns:
                return True
    return False

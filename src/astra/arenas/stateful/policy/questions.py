"""What rules have the agent ask the user, and what the user says then."""

from __future__ import annotations

import random
from collections.abc import Sequence

from astra.arenas.stateful.conversations import PlannedTurn, names_in_questions
from astra.arenas.stateful.mentions import Mentions
from astra.arenas.stateful.operations.base import PlannedQuestion
from astra.arenas.stateful.policy.verdicts import PythonVerdicts, ServiceRequest
from astra.arenas.stateful.policy.words import RuleWords
from astra.arenas.stateful.words import STATEMENT
from astra.service_policies import ServiceRule
from astra.states import HeldValue


class RuleQuestion:
    """The question of one arena: no policy has two rules that ask, and none asks twice."""

    def __init__(
        self, mentions: Mentions, words: RuleWords, turns: Sequence[PlannedTurn], rng: random.Random
    ) -> None:
        self._mentions = mentions
        self._words = words
        self._turns = turns
        self._rng = rng
        self._asked = False

    def ask(
        self, turn: int, number: int, rule: ServiceRule, request: ServiceRequest, *, wrong: bool
    ) -> PlannedQuestion | None:
        """What the rule of a number has the agent ask at a turn of the user, before a request. None
        where the question would not be plain: its words, or the answer, stand in what is asked for.

        `wrong`: the user tells what another row holds.
        """
        asked, words = rule.asks, self._mentions.words
        if asked is None or self._asked or self._turns[turn].held is not None:
            return None
        self._asked = True
        table = self._words.table(rule.operation, asked.path)
        column = table.column(asked.column)
        database = self._mentions.cut.database
        row = PythonVerdicts(database).row_at(request, asked.path)
        stored = None if row is None else row[column.name]
        if not isinstance(stored, str):
            return None
        told = stored
        if wrong:
            rows = database.table(table.name).rows_by_key.values()
            others = {other[column.name] for other in rows} - {stored, None}
            told = self._rng.choice(sorted(map(str, others)))
        label = self._mentions.writer.label(column)
        tasks = [task.text.removeprefix(STATEMENT) for task in self._turns[turn].tasks]
        said = " ".join([*tasks, *(each.text for each in self._turns)]).casefold()
        if any(text.casefold() in said for text in (label, stored, told)):
            return None
        held = HeldValue(
            goal="",
            labels=names_in_questions(column, label, self._mentions.writer.language, said),
            told=words.told_stored.format(label=label, value=told),
            rule=number,
            value=told,
        )
        field = self._words.field(rule.operation, asked)
        return PlannedQuestion(held, words.ask_stored.format(field=field))

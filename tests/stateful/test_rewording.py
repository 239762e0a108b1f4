"""A model in the user's place: what it may say, and what is replaced and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from astra.arenas.sets import ArenaSet
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.configs.evaluation import EvaluateConfig
from astra.errors import ConfigError
from astra.evaluation.arenas import EvaluationTally, play
from astra.evaluation.evaluate import evaluate
from astra.models.policies import policy
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena, Message, ToolSchema
from astra.users.rewording import RewordingFault, RewordingGuard
from astra.users.script import ScriptedUser
from tests.stateful.conftest import draw
from tests.support.desk import desk_arena
from tests.support.fakes import FakeModel
from tests.support.sandboxes import run_with_sandbox, shared_sandbox
from tests.support.talking_desk import talking_desk

OPTIONS = StateSourceOptions(
    seed=17,
    user_turns=(2, 3),
    conversations=("missing_parameter", "revision"),
    languages={"en": 0.6, "zh": 0.4},
)
FRAMES = {
    "en": ("{}", "Hi again! {}", "{} Thank you so much.", "Well, I thought about it. {}"),
    "zh": ("{}", "你好，{}", "{}谢谢！", "嗯，我想好了。{}"),
}


class Plant(NamedTuple):
    """A reply that a model could give in the place of what the script says."""

    reply: str
    fault: RewordingFault | None


class Spoken(NamedTuple):
    """What the script says at one point of a conversation."""

    guard: RewordingGuard
    language: str
    text: str
    earlier: tuple[str, ...]
    turn: int

    def judge(self, reply: str) -> RewordingFault | None:
        return self.guard.fault(self.text, reply, earlier=self.earlier, turn=self.turn)


@pytest.fixture(scope="module")
def spoken(shop: tuple[Tables, Schema]) -> list[Spoken]:
    said: list[Spoken] = []
    for arena in draw(shop, OPTIONS, 24):
        assert arena.state is not None
        guard, script = RewordingGuard(arena.state), ScriptedUser(arena.state, arena.language)
        earlier = [arena.state.turns[0].text]
        for step in arena.state.plan:
            move = script.reply(step.text) if step.text else None
            if move is not None and move.text is not None:
                said.append(Spoken(guard, arena.language, move.text, tuple(earlier), move.turn))
                earlier.append(move.text)
    return said


def plants(said: Spoken) -> Iterator[Plant]:
    """Good and bad replies in the place of a text."""
    text, facts = said.text, said.guard.facts(said.text)
    for frame in FRAMES[said.language]:
        yield Plant(frame.format(text), None)
    invented = {"en": " And 987654 of it.", "zh": "还有987654件。"}[said.language]
    yield Plant(text + invented, "invented")
    yield Plant(
        text + {"en": ' Call it "Bluebird".', "zh": "叫它“蓝鸟”。"}[said.language], "invented"
    )
    turned = {"en": " But do not do it.", "zh": "但是不要办。"}[said.language]
    yield Plant(text + turned, "contradicted")
    low = text.casefold()
    for fact in facts:
        if low.count(fact) == 1:
            at = low.index(fact)
            yield Plant(text[:at] + "…" + text[at + len(fact) :], "left_out")
    for later in said.guard.later(said.turn):
        heard = {f for line in (*said.earlier, text) for f in said.guard.facts(line)}
        if any(fact not in heard for fact in said.guard.facts(later)):
            yield Plant(f"{text} {later}", "early")
    if len(facts) >= 2 and all(low.count(fact) == 1 for fact in (facts[0], facts[-1])):
        first, last = low.index(facts[0]), low.index(facts[-1])
        swapped = (
            text[:first]
            + text[last : last + len(facts[-1])]
            + text[first + len(facts[0]) : last]
            + text[first : first + len(facts[0])]
            + text[last + len(facts[-1]) :]
        )
        yield Plant(swapped, "contradicted")


def test_planted_replies_are_seen_for_what_they_are(spoken: list[Spoken]) -> None:
    counts: Counter[str] = Counter()
    wrong: list[tuple[str, str, RewordingFault | None, RewordingFault | None]] = []
    for said in spoken:
        for plant in plants(said):
            counts[plant.fault or "reworded"] += 1
            found = said.judge(plant.reply)
            # What is left out of a text may also leave another fact: only that it is seen counts.
            if (found is None) != (plant.fault is None):
                wrong.append((said.text, plant.reply, plant.fault, found))
    assert not wrong
    assert sum(counts.values()) >= 200
    assert min(counts[kind] for kind in ("reworded", "left_out", "early", "invented")) >= 20
    assert counts["contradicted"] >= 20


def told(text: str, reply: str) -> RewordingFault | None:
    state = talking_desk().state
    assert state is not None
    return RewordingGuard(state).fault(text, reply, turn=3)


@pytest.mark.parametrize(
    ("text", "reply", "fault"),
    [
        ("Make the price 12.50 EUR.", "I'd like the price to be 12.50 EUR, please.", None),
        ("Make the price 12.50 EUR.", "I'd like the price to be 12.5 dollars.", "invented"),
        ("Make the price 12.50 EUR.", "Please lower the price.", "left_out"),
        ("Make the price 12.50 EUR.", "", "left_out"),
        ("Turn the newsletter on.", "Could you turn the newsletter off?", "contradicted"),
        ("Put it back to what it was before.", "Please restore the old one.", None),
        ("Put it back to what it was before.", "Please put it up.", "contradicted"),
        ("Yes, please go ahead.", "Sure, go on. Ask Bartholomew, too.", "invented"),
        ("Yes, please go ahead.", "No, please don't.", "contradicted"),
        ("If it is open, close it.", "Close it.", "contradicted"),
        ("价格改为12.50 EUR。", "麻烦把价格定为12.50 EUR。", None),
        ("价格改为12.50 EUR。", "麻烦把价格定为125 EUR。", "invented"),
        ("请恢复原状。", "请改一下。", "contradicted"),
    ],
)
def test_wordings(text: str, reply: str, fault: RewordingFault | None) -> None:
    assert told(text, reply) == fault


def rewording(form: str) -> FakeModel:
    """A model that puts what it has to say into a form."""

    def speak(
        messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: object
    ) -> Message:
        return Message(role="assistant", content=form.format(messages[-1].content))

    return FakeModel(speak, name="rewording")


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("Hello! {}", "reworded"),
        ("{} Order 98765, too.", "invented"),
        ("{} I'll want 5 Reed Court later.", "early"),
        ("Do as you like.", "left_out"),
    ],
)
def test_what_the_model_says_is_counted_and_scores_stay(form: str, kind: str) -> None:
    async def run() -> tuple[EvaluationTally, list[Message]]:
        tally, messages = EvaluationTally(), list[Message]()
        async with shared_sandbox() as sandbox:
            played = play(
                [talking_desk()],
                lambda arena, sample: policy("gold", arena),
                sandbox,
                RolloutLimits(),
                user=rewording(form),
            )
            async for arena, episode in played:
                tally.add(arena, episode)
                messages += episode.trajectory.messages
        return tally, messages

    tally, messages = run_with_sandbox(run())
    report = tally.report()
    assert report.f1 is not None and report.f1.mean == 1
    assert report.user.get(kind, 0) >= 1  # type: ignore[call-overload]
    heard = [m.content for m in messages if m.role == "user"]
    assert any(text.startswith("Hello! ") for text in heard) == (kind == "reworded")
    # What brings a tool comes as it is.
    assert "You can call cancel_order now." in heard


def test_the_same_episodes_are_played_with_the_scripts_own_words() -> None:
    assert EvaluateConfig("runs/desk", policy="gold").user_model is None
    with pytest.raises(ConfigError, match="endpoint"):
        EvaluateConfig("runs/desk", policy="gold", user_model="some-model").check()
    with pytest.raises(ConfigError, match="endpoint"):
        EvaluateConfig("runs/desk", policy="gold", user_url="http://localhost:1/v1").check()


async def test_a_user_is_refused_where_nobody_answers(tmp_path: Path) -> None:
    arenas = ArenaSet.of([desk_arena()], tmp_path / "run")
    config = EvaluateConfig(
        arenas,
        policy="gold",
        split="all",
        user_model="some-model",
        user_url="http://localhost:1/v1",
    )
    with pytest.raises(ConfigError, match="no user answers"):
        await evaluate(config)


async def test_a_model_object_plays_the_user(tmp_path: Path) -> None:
    arenas: list[Arena] = [talking_desk()]
    folder = ArenaSet.of(arenas, tmp_path / "run").path
    config = EvaluateConfig(
        folder, policy="gold", split="all", uncertified=True, user_model=rewording("Hello! {}")
    )
    report = await evaluate(config)
    assert report.summary.user["reworded"] >= 1
    assert report.f1 is not None and report.f1.mean == 1


def test_a_value_that_was_said_is_no_part_of_a_longer_word() -> None:
    guard = RewordingGuard(desk_arena().state)  # type: ignore[arg-type]
    text = 'Next: lower the limit of "A 1".'
    earlier = ('Set the priority to "low".',)
    assert guard.fault(text, f"Hi again! {text}", earlier=earlier, turn=0) is None
    raised = text.replace("lower", "raise")
    assert guard.fault(text, raised, earlier=earlier, turn=0) == "contradicted"

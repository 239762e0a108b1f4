"""The first mistake of an episode, by rule."""

from __future__ import annotations

import tracemalloc

import pytest

from astra.evaluation.arenas import EvaluationTally, PlayedEpisode, score_episode
from astra.evaluation.mistakes import Mistake, first_mistake
from astra.types import (
    Arena,
    CallRecord,
    CallStatus,
    GoldCall,
    Json,
    Message,
    StopReason,
    Trajectory,
)
from tests.support.fakes import toy_arena

AIRPORT = "Oslo Airport, Gardermoen"


def arena() -> Arena:
    """Two goals: the airport's code, then what is found under key `b`."""
    drawn = toy_arena(2)
    first, second = drawn.goals
    asked = GoldCall(tool="look_0", arguments={"key": AIRPORT})
    return drawn.model_copy(update={"goals": (first.model_copy(update={"call": asked}), second)})


def call(tool: str, key: Json, value: int = 0, status: CallStatus = CallStatus.ok) -> CallRecord:
    arguments = {"key": key} if status is not CallStatus.malformed_arguments else "{'key"
    result = {"key": key, "value": value}
    return CallRecord(
        id=f"{tool} {key}", turn=0, tool=tool, arguments=arguments, status=status, result=result
    )


FIRST, SECOND = call("look_0", AIRPORT, 1), call("look_1", "b", 2)


def played(*calls: CallRecord, stop: StopReason = StopReason.answered) -> PlayedEpisode:
    # The same call twice has two ids.
    own = tuple(c.model_copy(update={"id": f"{n} {c.id}", "turn": n}) for n, c in enumerate(calls))
    messages = (Message(role="assistant", content="Done."),)
    trajectory = Trajectory(
        task=arena().id, messages=messages, calls=own, stop=stop, turns=len(own) + 1
    )
    return PlayedEpisode(trajectory=trajectory, score=score_episode(arena(), trajectory))


@pytest.mark.parametrize(
    ("episode", "mistake"),
    [
        (played(FIRST, SECOND), None),
        (played(FIRST, call("look_1", "c", 3, CallStatus.transient), SECOND), None),
        (played(FIRST), Mistake.stopped_early),
        (played(), Mistake.stopped_early),
        (played(FIRST, stop=StopReason.length_limit), Mistake.cut_off),
        (played(FIRST, stop=StopReason.turn_limit), Mistake.cut_off),
        (played(FIRST, SECOND, SECOND), Mistake.went_on),
        (played(FIRST, FIRST, SECOND), Mistake.went_on),
        (played(call("far", "b"), FIRST, SECOND), Mistake.wrong_tool),
        (played(call("none", "b", 0, CallStatus.unknown_tool)), Mistake.wrong_tool),
        (played(call("look_0", "Oslo Airport"), FIRST, SECOND), Mistake.copied_wrongly),
        (played(call("look_0", f"{AIRPORT} (OSL)")), Mistake.copied_wrongly),
        (played(FIRST, call("look_1", AIRPORT.upper())), Mistake.copied_wrongly),
        (played(call("look_0", "Bergen")), Mistake.wrong_argument),
        (played(call("look_0", "")), Mistake.wrong_argument),
        (played(call("look_0", 7, 0, CallStatus.schema_violation)), Mistake.malformed),
        (played(call("look_0", "x", 0, CallStatus.malformed_arguments)), Mistake.malformed),
    ],
)
def test_the_first_mistake(episode: PlayedEpisode, mistake: Mistake | None) -> None:
    assert first_mistake(arena(), episode.trajectory, episode.score) == mistake
    assert episode.score is not None and (episode.score.f1 == 1) == (mistake is None)


def test_an_episode_without_a_score_has_no_mistake() -> None:
    broken = played(stop=StopReason.host_error)
    assert broken.score is None
    assert first_mistake(arena(), broken.trajectory, None) is None


def test_a_report_counts_mistakes_and_tells_where_there_is_something_to_learn() -> None:
    tally = EvaluationTally()
    for episode in (played(FIRST, SECOND), played(FIRST), played(FIRST, SECOND), played(FIRST)):
        tally.add(arena(), episode)
    report = tally.report()
    assert report.mistakes == {Mistake.stopped_early: 2}
    assert report.pass_at_k == pytest.approx({"1": 1 / 2, "2": 5 / 6, "3": 1, "4": 1})
    assert report.by_hops["2"].pass_at_k == report.pass_at_k
    assert report.flat == 0
    for _ in range(2):
        tally.add(arena().model_copy(update={"id": "another"}), played(FIRST))
    assert tally.report().flat == 0.5


def test_a_report_keeps_some_hundred_bytes_of_an_episode() -> None:
    arenas = [arena().model_copy(update={"id": f"{number:064}"}) for number in range(2000)]
    episode = played(FIRST)
    tally = EvaluationTally()
    tally.add(arenas[0], episode)
    tracemalloc.start()
    for each in arenas:
        tally.add(each, episode)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept / len(arenas) < 250
    assert tally.report().episodes == 2001

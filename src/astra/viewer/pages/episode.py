"""One played episode: of an arena, of a benchmark, or of a server's session."""

from __future__ import annotations

from typing import Any

from astra.episodes import Episode, Score
from astra.errors import AstraError, StoreError
from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.benchmarks.records import BenchmarkEpisode
from astra.types import Arena, Trajectory
from astra.viewer.conversation import shown_messages
from astra.viewer.goal_graph import goal_graph
from astra.viewer.pages.arena import read_arena, state_changes, wanted_changes
from astra.viewer.pages.asked import Asked, Row, Shown


def episode_page(asked: Asked, row: Row) -> Shown:
    """`RUN/episodes/ID.html`."""
    stored = row.value()
    if not isinstance(stored, dict):
        raise StoreError(f"row {row.id!r} of {row.file}.jsonl is no JSON object")
    if "trajectory" not in stored:
        return _benchmark_page(row.record(BenchmarkEpisode), row)
    played: Episode | PlayedEpisode
    played = row.record(Episode) if "arena" in stored else row.record(PlayedEpisode)
    tokens = played.tokens if isinstance(played, Episode) else None
    trajectory, score = played.trajectory, played.score
    found = asked.find("arenas", trajectory.task, first=row.run)
    arena, problems = None, list[str]()
    if found is not None:
        try:
            arena = read_arena(found).arena
        except AstraError as error:
            problems.append(str(error))
    return "episode.html", {
        "title": f"Episode {trajectory.task} · {trajectory.sample}",
        "row": row,
        "task": trajectory.task,
        "sample": trajectory.sample,
        "trajectory": trajectory,
        "facts": _facts(trajectory, score),
        "score": score,
        "messages": shown_messages(
            trajectory.messages, trajectory.calls, score=score, tokens=tokens
        ),
        "arena": arena,
        "arena_row": found,
        "graph": _graph(arena, score),
        "problems": problems,
        **_states(arena, trajectory),
    }


def _facts(trajectory: Trajectory, score: Score | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"ended by": trajectory.stop.value}
    if score is None:
        facts["score"] = "none: an infrastructure failure is never scored"
    else:
        facts |= {"F1": score.f1, "recall": score.recall, "precision": score.precision}
        facts |= {"goals solved": f"{score.solved} of {score.goals}", "calls": score.calls}
        if score.answer_correct is not None:
            facts["answer"] = "right" if score.answer_correct else "wrong"
        if score.waste or score.damage:
            facts |= {"calls that helped nothing": score.waste, "damage": score.damage}
    facts |= {
        "turns": trajectory.turns,
        "prompt tokens": trajectory.usage.prompt_tokens,
        "completion tokens": trajectory.usage.completion_tokens,
        "seconds": trajectory.seconds,
    }
    return facts


def _graph(arena: Arena | None, score: Score | None) -> Any:
    if arena is None:
        return None
    # In an arena with a state other goals are rewarded than those that are drawn.
    solved = None if score is None or arena.state is not None else set(score.solved_by)
    return goal_graph(arena.goals, solved)


def _states(arena: Arena | None, trajectory: Trajectory) -> dict[str, Any]:
    """The rows that should have changed beside those that did."""
    if arena is None or arena.state is None:
        return {"state": None, "wanted": [], "done": []}
    made = [
        change
        for call in trajectory.calls
        if call.effect is not None
        for change in call.effect.changes
    ]
    return {
        "state": arena.state,
        "wanted": state_changes(arena.state, wanted_changes(arena.state)),
        "done": state_changes(arena.state, made),
    }


def _benchmark_page(episode: BenchmarkEpisode, row: Row) -> Shown:
    facts = {
        "category": episode.category,
        "score": episode.score,
        "error": episode.error or "–",
        "prompt tokens": episode.usage.prompt_tokens,
        "completion tokens": episode.usage.completion_tokens,
    }
    return "episode.html", {
        "title": f"Episode {episode.task} · {episode.trial}",
        "row": row,
        "task": episode.task,
        "sample": episode.trial,
        "trajectory": None,
        "facts": facts,
        "score": None,
        "detail": episode.detail,
        "messages": shown_messages(episode.messages),
        "arena": None,
        "arena_row": None,
        "graph": None,
        "problems": [],
        "state": None,
        "wanted": [],
        "done": [],
    }

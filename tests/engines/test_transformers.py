"""The engine against `model.generate`, which knows no cache across turns and no neighbours."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from astra.chat.template import ChatTemplate
from astra.engines.engine import BatchingEngine
from astra.engines.episode import EngineEpisode
from astra.engines.transformers import TransformersEngine
from astra.errors import ConfigError, ModelBadReply, ModelUnavailable
from astra.protocols import Sampling
from astra.types import FinishReason, Message
from tests.engines import given

CHAT = given.chat()
QUESTIONS = ["How warm is Oslo?", "Hi", "How warm is Oslo?", "Which river is the longest? " * 9]
TURNS = [
    [["12"], ["a", "bb"], []],
    [["7, and " * 20], []],
    [["13"], ["x"], ["a longer result, for a change"], []],
    [[], []],
]
"""Per conversation and turn, what the tools say after it; the last turn has none."""


async def talk(
    episode: EngineEpisode, question: str, turns: Sequence[Sequence[str]], sampling: Sampling
) -> None:
    """Answer whatever the model says with the given results, as a tool host would."""
    messages = given.question(question)
    for texts in turns:
        reply = await episode.generate(messages, given.TOOLS, sampling)
        messages = [*messages, reply.message, *given.results(*texts)]
        await asyncio.sleep(0.002 * len(question) % 0.007)
        if not texts:
            break
    episode.close()


async def talk_all(
    engine: BatchingEngine, sampling: Sampling, seed: int = 0
) -> list[EngineEpisode]:
    episodes = [engine.open(seed + index) for index in range(len(QUESTIONS))]
    await asyncio.gather(
        *(
            talk(episode, question, turns, sampling)
            for episode, question, turns in zip(episodes, QUESTIONS, TURNS, strict=True)
        )
    )
    return episodes


def turns_of(episode: EngineEpisode) -> list[tuple[list[int], list[int]]]:
    """(everything before, what was sampled) per turn."""
    told = episode.recorded()
    ids = [*told.prompt_ids, *told.completion_ids]
    found: list[tuple[list[int], list[int]]] = []
    for turn in range(max(told.steps) + 1):
        places = [len(told.prompt_ids) + i for i, step in enumerate(told.steps) if step == turn]
        assert places == list(range(places[0], places[-1] + 1))
        found.append((ids[: places[0]], [ids[place] for place in places]))
    return found


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(("attention", "kv_heads"), [("sdpa", 1), ("sdpa", 2), ("eager", 1)])
async def test_greedy_tokens_are_those_of_generate_without_a_cache(
    deterministic: bool, attention: str, kv_heads: int
) -> None:
    model = given.model(attention=attention, kv_heads=kv_heads)
    engine = TransformersEngine(model, CHAT, deterministic=deterministic, prefill_tokens=300)
    episodes = await talk_all(engine, Sampling(temperature=0, max_tokens=9))
    for episode in episodes:
        for before, sampled in turns_of(episode):
            wanted = model.generate(
                torch.tensor([before]),
                attention_mask=torch.ones(1, len(before), dtype=torch.long),
                max_new_tokens=9,
                do_sample=False,
                eos_token_id=list(CHAT.stop_ids),
                pad_token_id=0,
            )
            assert sampled == wanted[0, len(before) :].tolist()


async def test_one_long_result_does_not_make_all_others_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    padded: list[int] = []
    forward = TransformersEngine._forward  # pyright: ignore[reportPrivateUsage]

    def watched(self: Any, episodes: Any, *, fresh: bool) -> Any:
        new = [len(episode.ids) - episode.cached for episode in episodes]
        padded.append(max(new) * len(new) - sum(new))
        return forward(self, episodes, fresh=fresh)

    monkeypatch.setattr(TransformersEngine, "_forward", watched)
    sampled: list[list[EngineEpisode]] = []
    for padding in (12, 10_000):
        padded.clear()
        engine = TransformersEngine(given.model(), CHAT, padding=padding)
        sampled.append(await talk_all(engine, Sampling(temperature=0, max_tokens=9)))
        assert (max(padded) <= 12) == (padding == 12)
    assert [e.ids for e in sampled[0]] == [e.ids for e in sampled[1]]


def whole_pass(model: Any, episode: EngineEpisode, temperature: float) -> torch.Tensor:
    told = episode.recorded()
    ids = torch.tensor([[*told.prompt_ids, *told.completion_ids]])
    with torch.no_grad():
        logits_TV = model(input_ids=ids).logits[0, len(told.prompt_ids) - 1 : -1]
    return (logits_TV / temperature).log_softmax(-1)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
async def test_logprobs_and_entropies_are_those_of_a_pass_over_the_whole(temperature: float):
    model = given.model()
    engine = TransformersEngine(model, CHAT)
    for episode in await talk_all(engine, Sampling(temperature=temperature, max_tokens=12)):
        told = episode.recorded()
        logprobs_TV = whole_pass(model, episode, temperature)
        for place, (token, mine) in enumerate(
            zip(told.completion_ids, told.policy_mask, strict=True)
        ):
            wanted = (float(logprobs_TV[place, token]), entropy(logprobs_TV[place]))
            found = (told.logprobs[place], told.entropies[place])
            assert found == pytest.approx(wanted if mine else (0.0, 0.0), abs=2e-5)


def entropy(logprobs_V: torch.Tensor) -> float:
    return float(-(logprobs_V.exp() * logprobs_V).sum())


async def test_the_same_seeds_give_the_same_bits_whatever_the_timing() -> None:
    model = given.model()
    told = []
    for _ in range(2):
        engine = TransformersEngine(model, CHAT)
        episodes = await talk_all(engine, Sampling(temperature=1, max_tokens=15), seed=5)
        told.append([episode.recorded() for episode in episodes])
    assert told[0] == told[1]
    other = await talk_all(
        TransformersEngine(model, CHAT), Sampling(temperature=1, max_tokens=15), seed=6
    )
    assert [episode.recorded() for episode in other] != told[0]


async def test_a_sampled_conversation_does_not_depend_on_its_neighbours() -> None:
    model = given.model()
    sampling = Sampling(temperature=1, max_tokens=15)
    together = await talk_all(TransformersEngine(model, CHAT), sampling)
    for index, episode in enumerate(together):
        engine = TransformersEngine(model, CHAT)
        alone = engine.open(index)
        await talk(alone, QUESTIONS[index], TURNS[index], sampling)
        assert alone.recorded().completion_ids == episode.recorded().completion_ids


async def test_what_the_policy_did_not_write_is_what_the_template_puts_between() -> None:
    engine = TransformersEngine(given.model(), CHAT)
    episodes = await talk_all(engine, Sampling(temperature=1, max_tokens=12))
    for episode, question, said in zip(episodes, QUESTIONS, TURNS, strict=True):
        told = episode.recorded()
        assert list(told.prompt_ids) == CHAT.render(given.question(question), given.TOOLS)
        between: list[int] = []
        for (_, sampled), texts in zip(turns_of(episode)[:-1], said, strict=False):
            written = CHAT.parse(sampled, given.TOOLS)
            between += CHAT.following(written, given.results(*texts), sampled[-1])
        masked = zip(told.completion_ids, told.policy_mask, strict=True)
        assert [token for token, mine in masked if not mine] == between
        assert told.policy_mask[0] and told.policy_mask[-1]


async def test_work_is_saved() -> None:
    engine = TransformersEngine(given.model(), CHAT)
    episodes = await talk_all(engine, Sampling(temperature=0, max_tokens=4))
    prompts = {tuple(episode.recorded().prompt_ids) for episode in episodes}
    assert len(prompts) == 3  # of four conversations, two begin alike
    between = sum(
        len(e.recorded().completion_ids) - sum(e.recorded().policy_mask) for e in episodes
    )
    turns = sum(max(e.recorded().steps) + 1 for e in episodes)
    # Of each pass over new tokens the last is the one sampled from; sampled ones are fed once.
    fed = sum(map(len, prompts)) - len(prompts) + between
    assert fed - turns <= engine.timings.prompt_tokens <= fed + turns
    assert engine.timings.sampled_tokens == sum(sum(e.recorded().policy_mask) for e in episodes)


async def test_a_message_and_the_context_have_limits() -> None:
    model = given.model()
    engine = TransformersEngine(model, CHAT, max_length=200)
    episode = engine.open(0)
    messages = given.question("Hi")
    prompt = len(CHAT.render(messages, given.TOOLS))
    reply = await episode.generate(messages, given.TOOLS, Sampling(temperature=1, max_tokens=3))
    assert reply.finish is FinishReason.length and reply.usage.completion_tokens == 3
    messages = [*messages, reply.message, *given.results("x" * 400)]
    reply = await episode.generate(messages, given.TOOLS, Sampling(temperature=1))
    assert reply.finish is FinishReason.length and reply.usage.completion_tokens == 0
    assert len(episode.recorded().completion_ids) == 3
    second = engine.open(1)
    episode.close()
    reply = await second.generate(given.question("Ho"), given.TOOLS, Sampling(temperature=1))
    assert prompt + reply.usage.completion_tokens <= 200


async def test_what_leaves_is_not_waited_for() -> None:
    engine = TransformersEngine(given.model(), CHAT)
    stays, leaves = engine.open(0), engine.open(1)
    asked = asyncio.create_task(
        stays.generate(given.question("Hi"), given.TOOLS, Sampling(temperature=1, max_tokens=3))
    )
    await asyncio.sleep(0.02)
    assert not asked.done()
    leaves.close()
    await asyncio.wait_for(asked, 5)
    with pytest.raises(ModelUnavailable, match="closed"):
        await leaves.generate(given.question("Hi"), given.TOOLS, Sampling())


async def test_a_cancelled_episode_does_not_hold_up_the_others() -> None:
    engine = TransformersEngine(given.model(), CHAT)
    first, second = engine.open(0), engine.open(1)
    sampling = Sampling(temperature=1, max_tokens=200)
    tasks = [
        asyncio.create_task(e.generate(given.question("Hi"), given.TOOLS, sampling))
        for e in (first, second)
    ]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    reply = await asyncio.wait_for(tasks[1], 20)
    assert reply.usage.completion_tokens > 0
    first.close()
    second.close()


async def test_a_token_is_sampled_by_the_weights_of_its_time_alone() -> None:
    model, later = given.model(), given.model(seed=1)
    engine = TransformersEngine(model, CHAT, deterministic=False)
    sampling = Sampling(temperature=1, max_tokens=12)
    episodes = [engine.open(seed) for seed in range(3)]
    asked = [
        asyncio.create_task(e.generate(given.question("Hi"), given.TOOLS, sampling))
        for e in episodes[:2]
    ]
    while len(episodes[0].recorded().completion_ids) < 5:
        await asyncio.sleep(0)
    # This one has only been asked when the engine pauses: its prompt is read once.
    asked.append(
        asyncio.create_task(episodes[2].generate(given.question("Ho"), given.TOOLS, sampling))
    )
    await asyncio.sleep(0)
    engine.pause()
    before = [episode.recorded() for episode in episodes]
    await asyncio.sleep(0.02)
    assert [episode.recorded() for episode in episodes] == before
    old = given.model()
    model.load_state_dict(later.state_dict())
    engine.resume()
    await asyncio.wait_for(asyncio.gather(*asked), 20)
    for episode, earlier in zip(episodes, before, strict=True):
        told, cut = episode.recorded(), len(earlier.completion_ids)
        ids = torch.tensor(told.completion_ids)[:, None]
        by_old, by_new = (whole_pass(of, episode, 1.0).gather(1, ids)[:, 0] for of in (old, later))
        found = torch.tensor(told.logprobs)
        torch.testing.assert_close(found, torch.cat([by_old[:cut], by_new[cut:]]))
        assert len(found) > cut and not torch.allclose(by_old[cut:], by_new[cut:], atol=0.01)
        episode.close()
    assert [len(earlier.completion_ids) > 3 for earlier in before] == [True, True, False]


async def test_an_episode_that_ends_in_a_pause_holds_up_nobody() -> None:
    engine = TransformersEngine(given.model(), CHAT, deterministic=False)
    sampling = Sampling(temperature=1, max_tokens=30)
    first, second = (engine.open(seed) for seed in range(2))
    tasks = [
        asyncio.create_task(e.generate(given.question("Hi"), given.TOOLS, sampling))
        for e in (first, second)
    ]
    await asyncio.sleep(0.01)
    engine.pause()
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    engine.resume()
    reply = await asyncio.wait_for(tasks[1], 20)
    assert reply.usage.completion_tokens > 0
    first.close()
    second.close()


async def test_a_broken_model_is_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    model = given.model()
    engine = TransformersEngine(model, CHAT)
    episode = engine.open(0)

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "_forward", broken)
    with pytest.raises(ModelUnavailable, match="out of memory"):
        await episode.generate(given.question("Hi"), given.TOOLS, Sampling())


async def test_a_conversation_goes_on_with_results_only() -> None:
    engine = TransformersEngine(given.model(), CHAT)
    episode = engine.open(0)
    messages = given.question("Hi")
    sampling = Sampling(temperature=1, max_tokens=3)
    await episode.generate(messages, given.TOOLS, sampling)
    said = Message(role="assistant", content="I was not the one who said this")
    with pytest.raises(ModelBadReply, match="assistant"):
        await episode.generate([*messages, said, said], given.TOOLS, sampling)


def test_models_whose_caches_differ_are_refused() -> None:
    model = given.model()
    model.config.layer_types = ["full_attention", "sliding_attention"]
    with pytest.raises(ConfigError, match="sliding_attention"):
        TransformersEngine(model, CHAT)


def test_the_policy_is_as_it_was_afterwards() -> None:
    model = given.model().train()
    engine = TransformersEngine(model, CHAT)
    episodes = asyncio.run(talk_all(engine, Sampling(temperature=1, max_tokens=3)))
    assert model.training and all(math.isfinite(x) for x in episodes[0].recorded().logprobs)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_templates_stop_at_their_own_token() -> None:
    assert isinstance(CHAT, ChatTemplate) and tuple(CHAT.stop_ids) == (
        CHAT.tokenizer.convert_tokens_to_ids("<|end|>"),
    )


async def test_the_cache_is_kept_in_the_type_that_attention_computes_in() -> None:
    plain, half = TransformersEngine(given.model(), CHAT), TransformersEngine(given.model(), CHAT)
    await talk_all(plain, Sampling(temperature=0.0, max_tokens=4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        await talk_all(half, Sampling(temperature=0.0, max_tokens=4))
    for engine, dtype in ((plain, torch.float32), (half, torch.bfloat16)):
        assert {t.dtype for t in (*engine._cache._keys, *engine._cache._values)} == {dtype}

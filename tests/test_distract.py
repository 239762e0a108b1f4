"""Distractor draws: bands, domains, names, seeds; and what must never be drawn."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astra.arenas.distractor_pool import DistractorPool, embedded_text, in_band
from astra.arenas.distractors import DistractorMode, with_distractors
from astra.errors import ConfigError, EmbedderError, Rejected, StoreError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.types import (
    Arena,
    Distractor,
    Language,
    Matcher,
    Scenario,
    Target,
    Tool,
    ToolSchema,
    arena_id,
)


def tool(name: str, domain: str, *, at: float = 0.0, language: Language = "en") -> Tool:
    """A tool whose stub embedding points at an angle of `at` degrees."""
    return Tool(
        document=ToolSchema(
            name=name, description=str(at), parameters={"type": "object", "properties": {}}
        ),
        source=f"def {name}():\n    return {name!r}\n",
        domain=domain,
        language=language,
    )


def arena(*tools: Tool, question: str = "?", domain: str | None = None) -> Arena:
    fields: dict[str, Any] = {
        "question": question,
        "answer": 1,
        "answer_target": Target(matcher=Matcher.number, value=1),
        "goals": (),
        "tools": tools,
        "scenario": Scenario.single_hop,
        "language": tools[0].language,
        "domain": tools[0].domain if domain is None else domain,
        "split": "train",
        "provenance": {"key": question},
    }
    unnamed = Arena(id="", **fields)
    return unnamed.with_content_id()


class Angles:
    """Embeds a document by the angle that `tool` wrote into it; counts its calls."""

    name = "angles"

    def __init__(self) -> None:
        self.calls: list[int] = []

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(len(texts))
        angles = np.radians([float(text.splitlines()[1]) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def angle_of(cosine: float) -> float:
    return float(np.degrees(np.arccos(cosine)))


OWN = tool("own", "home")
# Cosines to `own` from 1 to 0, so that the normalised similarities are the cosines themselves.
SPECTRUM = [tool(f"t{c}", "away", at=angle_of(c / 100)) for c in range(0, 101, 5)]


async def spectrum() -> DistractorPool:
    return await DistractorPool.of_tools([OWN, *SPECTRUM], Angles())


# --- the pool ----------------------------------------------------------------------------------


async def test_similarities_are_min_max_normalised_cosines():
    at = [0.0, 10.0, 45.0, 80.0]
    pool = await DistractorPool.of_tools(
        [tool(f"t{i}", f"d{i}", at=angle) for i, angle in enumerate(at)], Angles()
    )
    cosines = np.cos(np.radians(np.array(at)[:, None] - np.array(at)[None, :]))
    for i in range(len(at)):
        others = np.delete(cosines[i], i)
        expected = (others - others.min()) / (others.max() - others.min())
        row = pool.similarities("en", f"t{i}")
        assert np.isnan(row[i])
        np.testing.assert_allclose(np.delete(row, i), expected, atol=2e-6)
        # The next call is answered from memory, and nobody can spoil it.
        assert pool.similarities("en", f"t{i}") is row
        with pytest.raises(ValueError, match="read-only"):
            row[0] = 1


async def test_the_normalisation_counts_tools_of_the_same_domain():
    # Without `twin`, which may not be drawn, `near` would be the nearest: 1.0.
    tools = [OWN, tool("twin", "home", at=1), tool("near", "x", at=45), tool("far", "x", at=90)]
    pool = await DistractorPool.of_tools(tools, Angles())
    drawn = {d.name: d for d in pool.draw(arena(OWN), "banded", seed=1)}
    assert drawn.keys() == {"near", "far"}
    assert drawn["near"].similarity == pytest.approx(np.cos(np.pi / 4), abs=1e-3)
    assert (drawn["near"].band, drawn["far"].band) == ("medium", "low")


async def test_equal_similarities_and_a_single_tool_are_no_neighbours():
    same = await DistractorPool.of_tools(
        [OWN, *(tool(f"t{i}", f"x{i}", at=30) for i in range(9))], Angles()
    )
    drawn = same.draw(arena(OWN), "banded", seed=1)
    assert [(d.band, d.similarity) for d in drawn] == [("low", 0.0)] * 3
    alone = await DistractorPool.of_tools([OWN], Angles())
    assert alone.draw(arena(OWN), "banded", seed=1) == ()
    assert alone.draw(arena(OWN), "random", seed=1) == ()


async def test_the_first_tool_of_a_name_and_language_wins():
    first, second, chinese = tool("a", "x"), tool("a", "y"), tool("a", "x", language="zh")
    pool = await DistractorPool.of_tools([first, second, chinese, first], Angles())
    assert [t.id for t in pool.tools("en")] == [first.id]
    assert [t.id for t in pool.tools("zh")] == [chinese.id]
    assert len(pool) == 2


async def test_rows_of_the_tools_file_give_the_same_pool():
    rows = [{"id": t.id, "arena": "x", "tool": t.model_dump(mode="json")} for t in [OWN, *SPECTRUM]]
    read = await DistractorPool.of_rows(rows, Angles())
    made = await spectrum()
    assert read.tools("en") == made.tools("en")
    for seed in range(5):
        drawn = read.draw(arena(OWN), "banded", seed=seed)
        assert drawn == made.draw(arena(OWN), "banded", seed=seed)
    rows[3] = {**rows[3], "id": OWN.id}
    with pytest.raises(StoreError, match=SPECTRUM[2].name):
        await DistractorPool.of_rows(rows, Angles())


async def test_each_language_is_embedded_once_and_never_mixed():
    embedder = Angles()
    tools = [tool(f"t{i}", f"d{i}", at=i, language="zh" if i % 2 else "en") for i in range(20)]
    pool = await DistractorPool.of_tools(tools, embedder)
    assert embedder.calls == [10, 10]
    chinese = {t.name for t in pool.tools("zh")}
    modes: tuple[DistractorMode, ...] = ("random", "banded")
    for mode in modes:
        drawn = pool.draw(arena(tools[1]), mode, seed=0)
        assert drawn
        assert {d.name for d in drawn} <= chinese
    assert pool.draw(arena(tool("x", "x")), "none", seed=0) == ()


@pytest.mark.parametrize("vectors", [np.zeros((3, 2)), np.zeros(2), np.full((2, 2), np.nan)])
async def test_wrong_embeddings_are_refused(vectors: np.ndarray):
    class Wrong(Angles):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            return vectors

    with pytest.raises(EmbedderError, match="angles"):
        await DistractorPool.of_tools([OWN, SPECTRUM[0]], Wrong())


async def test_a_tool_that_the_pool_lacks_is_an_error():
    pool = await spectrum()
    with pytest.raises(ConfigError, match="'stranger'"):
        pool.draw(arena(tool("stranger", "home")), "banded", seed=1)
    empty = await DistractorPool.of_tools([], Angles())
    with pytest.raises(ConfigError, match="'own'"):
        empty.draw(arena(OWN), "banded", seed=1)
    assert empty.draw(arena(OWN), "random", seed=1) == ()


# --- what is never drawn ------------------------------------------------------------------------


async def test_no_two_distractors_do_the_same_under_two_names():
    # Three names for each of six descriptions in a domain; the same words elsewhere are another's.
    tools = [OWN, *(tool(f"t{i}", "x", at=15.0 * (i // 3)) for i in range(18))]
    pool = await DistractorPool.of_tools([*tools, tool("u", "y", at=15.0)], Angles())
    modes: tuple[DistractorMode, ...] = ("random", "banded")
    for mode in modes:
        for seed in range(20):
            drawn = [d.name for d in pool.draw(arena(OWN), mode, seed=seed, per_band=9)]
            assert len(drawn) == 7 and "u" in drawn
            assert len({int(name[1:]) // 3 for name in drawn if name != "u"}) == 6


async def test_tools_that_calculate_with_answers_are_never_drawn():
    tools = [OWN, tool("subtract", "arithmetic", at=40), tool("near", "x", at=40)]
    pool = await DistractorPool.of_tools(tools, Angles())
    modes: tuple[DistractorMode, ...] = ("random", "banded")
    for mode in modes:
        assert [d.name for d in pool.draw(arena(OWN), mode, seed=1)] == ["near"]


# --- draws -------------------------------------------------------------------------------------


def test_band_borders():
    values = np.array([0.0, 0.399999, 0.4, 0.85, 0.850001, 1.0], dtype=np.float32)
    assert in_band(values, "low").tolist() == [True, True, False, False, False, False]
    assert in_band(values, "medium").tolist() == [False, False, True, True, False, False]
    assert in_band(values, "high").tolist() == [False, False, False, False, True, True]


async def test_up_to_k_of_each_band():
    pool = await spectrum()
    for k in (0, 1, 3, 100):
        drawn = pool.draw(arena(OWN), "banded", seed=3, per_band=k)
        counts = Counter(d.band for d in drawn)
        # Cosines 0.90 to 1.00 are high, 0.40 to 0.85 medium, 0.00 to 0.35 low.
        expected = {"high": min(k, 3), "medium": min(k, 10), "low": min(k, 8)}
        assert counts == Counter(expected)
        for d in drawn:
            assert d.similarity == pytest.approx(int(d.name[1:]) / 100, abs=2e-6)
            assert d.tool == SPECTRUM[int(d.name[1:]) // 5].id


async def test_a_candidate_near_to_one_tool_is_high_for_the_arena():
    other = tool("other", "home", at=90)
    tools = [OWN, other, tool("a", "x", at=2), tool("b", "x", at=88), tool("c", "x", at=45)]
    pool = await DistractorPool.of_tools(tools, Angles())
    bands = {d.name: d.band for d in pool.draw(arena(OWN, other), "banded", seed=0)}
    assert bands == {"a": "high", "b": "high", "c": "medium"}


async def test_same_domains_and_names_are_never_drawn():
    tools = [
        OWN,
        tool("second", "other_home", at=80),
        *(tool(f"t{i}", d, at=i) for i, d in enumerate(["home", "other_home", "arena_home", "x"])),
    ]
    pool = await DistractorPool.of_tools(tools, Angles())
    mine = arena(OWN, tools[1], domain="arena_home")
    modes: tuple[DistractorMode, ...] = ("random", "banded")
    for mode in modes:
        assert {d.name for d in pool.draw(mine, mode, seed=0)} == {"t3"}
    # Of the pool's `own`, the arena has its own version, of another domain and body.
    mine = arena(tool("own", "elsewhere"), tool("t3", "elsewhere"))
    for mode in modes:
        drawn = {d.name for d in pool.draw(mine, mode, seed=0, per_band=9)}
        assert drawn == {"second", "t0", "t1", "t2"}


async def test_random_draws_five_to_nine_of_other_domains():
    pool = await spectrum()
    counts = Counter(
        len(pool.draw(arena(OWN, question=str(i)), "random", seed=0)) for i in range(200)
    )
    assert counts.keys() == {5, 6, 7, 8, 9}
    drawn = pool.draw(arena(OWN), "random", seed=0)
    assert {(d.band, d.similarity) for d in drawn} == {("random", None)}
    few = await DistractorPool.of_tools([OWN, *SPECTRUM[:3]], Angles())
    assert len(few.draw(arena(OWN), "random", seed=0)) == 3


async def test_draws_are_reproducible_and_depend_on_seed_and_arena():
    one, other = await spectrum(), await spectrum()
    modes: tuple[DistractorMode, ...] = ("random", "banded")
    for mode in modes:
        mine = arena(OWN)
        drawn = one.draw(mine, mode, seed=7)
        random.seed(0)  # global state plays no part
        assert drawn == other.draw(mine, mode, seed=7)
        assert len({one.draw(mine, mode, seed=seed) for seed in range(20)}) > 10
        questions = [arena(OWN, question=str(i)) for i in range(20)]
        assert len({one.draw(question, mode, seed=7) for question in questions}) > 10
        # Training draws anew from an arena that already has distractors.
        mixed = with_distractors(mine, [Distractor.of(tool(d.name, "x"), d.band) for d in drawn])
        assert one.draw(mixed, mode, seed=7) == drawn


async def test_draws_within_a_band_are_uniform():
    pool = await spectrum()
    counts = Counter(
        d.name
        for seed in range(2000)
        for d in pool.draw(arena(OWN), "banded", seed=seed)
        if d.band == "medium"
    )
    # 10 tools, 3 drawn 2,000 times: 600 each, standard deviation 20.5.
    assert len(counts) == 10
    assert all(500 < count < 700 for count in counts.values())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("xyz"), st.floats(0, 180)),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 4),
    st.integers(0, 5),
)
async def test_every_draw_keeps_the_rules(spec: list[Any], own: int, per_band: int):
    tools = [tool(name, domain, at=at) for name, domain, at in spec]
    pool = await DistractorPool.of_tools(tools, Angles())
    mine = arena(*{t.name: t for t in tools[:own]}.values())
    drawn = pool.draw(mine, "banded", seed=0, per_band=per_band)
    by_name = {t.name: t for t in pool.tools("en")}
    assert max(Counter(d.band for d in drawn).values(), default=0) <= per_band
    names = [t.name for t in (*mine.tools, *drawn)]
    assert len(names) == len(set(names))
    for d in drawn:
        assert d.tool == by_name[d.name].id
        assert by_name[d.name].domain not in {t.domain for t in mine.tools}
        assert d.similarity is not None
        assert in_band(np.array(d.similarity, dtype=np.float32), d.band)  # type: ignore[arg-type]


# --- attaching ---------------------------------------------------------------------------------


def test_with_distractors_gives_a_new_content_hash():
    mine = arena(OWN)
    some = (Distractor.of(tool("t0", "x", at=0), "random"),)
    mixed = with_distractors(mine, some)
    assert mixed.distractors == some
    assert mixed.id == arena_id(mixed.row().model_dump(mode="json")) != mine.id
    assert with_distractors(mixed, ()) == mine


@pytest.mark.parametrize("names", [("own",), ("t0", "t0")])
def test_a_name_is_never_overwritten(names: tuple[str, ...]):
    some = [Distractor.of(tool(name, "x", at=0), "random") for name in names]
    with pytest.raises(Rejected, match=names[0]) as caught:
        with_distractors(arena(OWN), some)
    assert caught.value.check == "names"


# --- documents ---------------------------------------------------------------------------------


def test_the_embedded_text_holds_names_and_descriptions_of_all_parameters():
    document = ToolSchema(
        name="get_river",
        description="A river.",
        parameters={
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Its name."},
                "where": {"type": "object", "properties": {"country": {"description": "Code."}}},
                "units": {"type": "array", "items": {"properties": {"unit": {}}}},
            },
        },
    )
    text = embedded_text(document)
    for part in ("get_river", "A river.", "name: Its name.", "country: Code.", "units", "unit"):
        assert part in text
    bare = ToolSchema(name="now", description="", parameters={"type": "object"})
    assert embedded_text(bare) == "now"


async def test_real_documents_are_banded_by_their_words():
    def documented(name: str, description: str, domain: str) -> Tool:
        document = ToolSchema(name=name, description=description, parameters={})
        return Tool(document=document, source="", domain=domain)

    own = documented("city_population", "Population of a city.", "cities")
    tools = [
        own,
        documented("state_population", "Population of a state.", "states"),
        documented("river_length", "Length of a river in km.", "rivers"),
        documented("convert_currency", "Money in another unit.", "money"),
    ]
    pool = await DistractorPool.of_tools(tools, TfidfEmbedder())
    drawn = {d.name: d.band for d in pool.draw(arena(own), "banded", seed=0)}
    assert drawn["state_population"] == "high"
    assert drawn["convert_currency"] == "low"

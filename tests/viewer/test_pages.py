"""What each kind of page shows, and that every link leads somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from astra.evaluation.arenas import PlayedEpisode
from astra.evaluation.benchmarks.records import BenchmarkEpisode
from astra.evaluation.benchmarks.report import compare_benchmarks
from astra.evaluation.paired import compare
from astra.runs.folder import RunFolder
from astra.trajectories.records import Judgement, RecordedRollout
from astra.types import Arena
from astra.viewer.goal_graph import goal_graph
from tests.support.arenas import capital_goal
from tests.support.talking_desk import talking_desk
from tests.viewer.made import ARABIC, CHINESE, Pages, world

ARENAS = world()


def arena_text(pages: Pages, arena: Arena, run: str = "world") -> str:
    return pages.text(f"{run}/arenas/{arena.id}.html")


def test_every_link_leads_to_a_page(pages: Pages) -> None:
    found = pages.crawl()
    assert {a: r.status_code for a, r in found.items() if r.status_code != 200} == {}
    assert [a for a, r in found.items() if "can't be shown" in r.text.replace("&#39;", "'")] == []
    kinds = {address.split("/")[1] for address in found if address.count("/") == 2}
    listings = "arenas episodes conversations credit trajectories servers tools set-aside compare"
    assert kinds == {*listings.split(), "vendor"}


def test_runs_with_counts_yield_cost_and_time(pages: Pages) -> None:
    text = pages.text("index.html")
    assert "world arenas 8 2 80.0 % 1,234 0.250 1 min 15 s" in text
    assert "world-gold evaluation" in text and "f1 1 reward 1" in text
    assert all(f" {kind} " in text for kind in ("training", "benchmark", "trajectories", "tools"))


def test_a_run_with_its_stages_rows_and_options(pages: Pages) -> None:
    text = pages.text("world/index.html")
    assert "Arenas 8 rows" in text and "Set aside 2 rows" in text
    assert "candidates 8 uniqueness 1 SandboxDied 1 1,234 0.250 1 min 15 s" in text
    assert '"command": "make_arenas"' in text
    report = pages.text("world-gold/index.html")
    assert "f1 1 95 % interval 1 to 1" in report


def test_an_arena_with_goals_gold_calls_and_tools(pages: Pages) -> None:
    text = arena_text(pages, ARENAS[3])
    for goal in ARENAS[3].goals:
        assert goal.question in text and goal.call is not None
        assert f"{goal.call.tool}({json.dumps(goal.call.arguments, ensure_ascii=False)})" in text
    both = arena_text(pages, ARENAS[4])
    assert 'Answer ["38036118", "Oslo"]' in both
    assert "g2 How many people live" in text and "g1 Where it" not in text
    assert "def inhabitants_of_country(country, style='short'):" in text
    assert "country required string Name of the country." in text
    assert 'one of ["short", "long"]' in text
    drawn = pages.ask(f"world/arenas/{ARENAS[3].id}.html").text
    assert drawn.count('<g class="goal">') == 2 and drawn.count('class="arrow"') == 1


def test_goals_stand_right_of_what_they_depend_on() -> None:
    def places(**needs: str) -> dict[str, int]:
        goals = [
            capital_goal("Japan", name).model_copy(update={"depends_on": tuple(needs[name])})
            for name in needs
        ]
        drawn = goal_graph(goals)
        assert len({(box.x, box.y) for box in drawn.boxes}) == len(goals)
        assert all(box.x + drawn.box_width <= drawn.width for box in drawn.boxes)
        return {box.goal.id: box.x for box in drawn.boxes}

    at = places(a="", b="a", c="ab", d="", e="z")
    assert at["a"] < at["b"] < at["c"] and at["a"] == at["d"] == at["e"]
    circle = places(a="", b="ac", c="b", d="c")
    assert circle["a"] < circle["b"] == circle["c"] == circle["d"]
    assert goal_graph([]).boxes == []


def test_distractors_with_their_bands(pages: Pages) -> None:
    text = arena_text(pages, ARENAS[0])
    assert "calories_of_dish low 0.117 Energy of one portion" in text
    assert "country_of_university high 0.842 Where a university stands." in text


def test_certificates_with_their_checks_and_evidence(pages: Pages) -> None:
    good, bad, none = (arena_text(pages, ARENAS[number]) for number in (0, 2, 3))
    assert 'names passed {"calls replayed": 7, "same results": true}' in good
    assert "certified single_hop" in good and "1.2 s" in good
    assert "that failed a check" in bad
    assert 'necessity failed goal g1 can be skipped {"skipped": "g1"}' in bad
    assert "without a certificate" in none and "holds none for this arena" in none


def test_where_an_arena_was_played(pages: Pages) -> None:
    text = arena_text(pages, ARENAS[0])
    assert "Played in rl: Credit rl-other: Credit world-gold: Episodes world-half" in text
    assert "Played in" not in arena_text(pages, ARENAS[5]), "of the test split: nobody played it"


def test_turns_and_the_rows_before_and_after(pages: Pages) -> None:
    arena = talking_desk()
    text = arena_text(pages, arena, "desk")
    assert "user turn 1 Please change the address" in text
    assert "Told when asked for address, 地址: Send it to 9 Pier Walk." in text
    assert "turn 3 brings cancel_order You can call cancel_order now." in text
    assert "O-2002 changed O-2002 C-1001 shipped 1 Quay Road 5 Reed Court" in text
    assert "2 other rows of orders stay as they are." in text
    page = pages.ask(f"desk/arenas/{arena.id}.html").text
    assert re.search(
        r'<td class="different" dir="auto"><del>pending</del> <ins>cancelled</ins></td>', page
    )
    assert "change_order_address writes orders" in text and "find_customers reads" in text


def test_languages_are_set_by_their_direction(pages: Pages) -> None:
    page = pages.ask("world/arenas.html").text
    for question in (CHINESE, ARABIC):
        assert f'<td class="words" dir="auto">{question}</td>' in page


def test_an_episode_with_calls_goals_and_the_score_after_each_turn(pages: Pages) -> None:
    text = pages.text("world-gold/episodes/0.html")
    assert "ended by answered F1 1 recall 1 precision 1 goals solved 1 of 1" in text
    assert "assistant 2 +1.000 score after it 1 capital_of_country call_0 ok solves g1" in text
    assert 'arguments {"country": "Germany"} result {"country": "Germany", "capital": "B' in text
    drawn = pages.ask("world-gold/episodes/0.html").text
    assert drawn.count('class="goal solved"') == 1
    assert 'class="goal unsolved"' in pages.ask("world-random/episodes/0.html").text
    wrong = pages.text("world-random/episodes/0.html")
    assert "goals solved 0 of 1" in wrong and "solves" not in wrong


def test_an_episode_that_changes_rows(pages: Pages) -> None:
    text = pages.text("desk-gold/episodes/1.html")
    assert "assistant 8 +0.571 score after it 0.571 change_order_address call_3_0 ok" in text
    assert "call_3_0 ok solves s1 1 row changed" in text
    careless = pages.text("desk-careless/episodes/1.html")
    assert "call_6_1 tool_error" in careless and "calls that helped nothing" in careless
    wanted, done = careless.split("What had to change")[1].split("What changed")
    assert "1 Quay Road 5 Reed Court" in wanted and "1 Quay Road 5 Reed Court" in done


def test_tokens_with_their_probabilities(pages: Pages) -> None:
    page = pages.ask("rl/conversations/0.html").text
    assert "3 tokens, mean log-probability -1.250" in pages.text("rl/conversations/0.html")
    assert 'title="token 104, log-probability -1, probability 0.368">104</span>' in page
    assert "I look it up." in page


def test_credit_step_by_step(pages: Pages) -> None:
    page = pages.ask(f"rl/credit/{'c' + '0' * 16}.html").text
    text = pages.text(f"rl/credit/{'c' + '0' * 16}.html")
    assert "step 0 crucial 12 tokens contribution 0.750 advantage 1.500 entropy 0.250" in text
    assert "counterfactual 0.625" in text and "agreement 0.875" in text
    assert "step 2 14 tokens contribution –" in text
    assert "heat-p5" in page and "heat-n2" in page and "heat-none" in page


def test_an_episode_of_a_benchmark(pages: Pages) -> None:
    text = pages.text("toy-gold/episodes/2.html")
    assert "Episode sum_2" in text and "category small score 1" in text
    assert "What is 2 + 1?" in text and 'add call_0 arguments {"a": 2, "b": 1} result 3' in text
    assert "error wrong_sum" in pages.text("toy-null/episodes/2.html")
    assert "score 1 95 % interval 1 to 1" in pages.text("toy-gold/index.html")


def test_a_trajectory_with_scores_and_reasons_at_their_messages(pages: Pages, runs: Path) -> None:
    folder = RunFolder(runs / "talks")
    judgements = {row.rollout: row for row in folder.rows("judgements", Judgement)}
    for rollout in folder.rows("rollouts", RecordedRollout):
        judgement = judgements[rollout.id]
        page = pages.ask(f"talks/trajectories/{rollout.id}.html").text
        text = pages.text(f"talks/trajectories/{rollout.id}.html")
        for measure, value in judgement.scores.items():
            shown = "1" if value == 1 else "0" if value == 0 else f"{value:.3f}"
            assert f"{measure.value} {shown} " in text
        assert page.count('<ul class="findings">') > 1
        reasons = re.findall(r'<span class="tag heat[^>]*>(\w+) [\d.]+</span> <span', page)
        assert len(reasons) == len(judgement.findings), "each stands once, at its message"
        for finding in judgement.findings:
            if finding.place.startswith("call "):
                call = page.split(f'id="call-{finding.place.removeprefix("call ")}"')[1]
                assert finding.reason in call.split("</section>")[0].replace("&#39;", "'")


def test_servers_tools_and_transitions(pages: Pages) -> None:
    listed = pages.ask("tools/servers.html").text
    (first, *_) = re.findall(r'class="row" href="[^"]*/([0-9a-f]+)\.html"', listed)
    text = pages.text(f"tools/servers/{first}.html")
    assert "openapi" in text and "Parameters" not in text and "schema {" in text
    graph = pages.ask("talks/tool-graph.html").text
    assert graph.count("<svg") == 2 and "<title" in graph
    assert "quote_fare find_ports 14" in pages.text("talks/tool-graph.html")


def test_what_was_set_aside_and_why(pages: Pages) -> None:
    first, second = (pages.text(f"world/set-aside/{number}.html") for number in (0, 1))
    assert "stage candidates item capitals 3 kind rejected check uniqueness" in first
    assert "two calls give the same answer" in first and "for good" in first
    assert "exception SandboxDied" in second and "tried again" in second


def test_curves_hold_the_rows(pages: Pages) -> None:
    page = pages.ask("training.html").text
    blocks = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    charts = {chart["metric"]: chart["curves"] for chart in map(json.loads, blocks)}
    curves = {curve["run"]: curve for curve in charts["reward"]}
    assert curves["rl"]["x"] == list(range(1, 9))
    assert curves["rl"]["y"] == pytest.approx([0.2 + 0.07 * step for step in range(1, 9)])
    assert set(charts) >= {"reward", "entropy"} and set(curves) == {"rl", "rl-other"}
    alone = pages.ask("training.html?runs=rl-other&axis=seconds").text
    assert "&quot;run&quot;: &quot;rl&quot;" not in alone and '"run": "rl"' not in alone
    assert "2.5" in alone


def test_compared_arenas_are_those_of_the_report(pages: Pages, runs: Path) -> None:
    played = [
        RunFolder(runs / name).rows("episodes", PlayedEpisode)
        for name in ("world-half", "world-random")
    ]
    wanted = compare(*played)
    text = pages.text("world-half/compare/world-random.html")
    low, high = wanted.f1.low, wanted.f1.high
    assert f"{wanted.f1.mean:+.3f} 95 % interval {low:+.3f} to {high:+.3f}" in text
    assert f"higher on {wanted.better}, lower on {wanted.worse}" in text
    assert wanted.f1.mean > 0 and low < high
    # The page with a query is the same as the one with an address of its own.
    assert pages.text("compare.html?first=world-half&second=world-random") == text


def test_compared_benchmarks_are_those_of_the_report(pages: Pages, runs: Path) -> None:
    played = [
        RunFolder(runs / name).rows("episodes", BenchmarkEpisode)
        for name in ("toy-null", "toy-gold")
    ]
    wanted = compare_benchmarks(*played)
    text = pages.text("toy-null/compare/toy-gold.html")
    assert f"toy-null − toy-gold: {wanted.all.difference.mean:+.3f}" in text
    assert "0 items that only toy-null has, 2 that only toy-gold has" in text
    for name, each in wanted.categories.items():
        low, high = each.difference.low, each.difference.high
        assert (
            f"{name} {each.tasks} 0 1 {each.difference.mean:+.3f} {low:+.3f} to {high:+.3f}" in text
        )

"""`astra arenas show`: one arena in the terminal, all that a reader needs to judge it."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from astra.arenas.certificates import Certificate
from astra.arenas.folder import CERTIFICATES
from astra.arenas.sets import ArenaSet
from astra.cli.changes import change_lines
from astra.cli.command import command_from
from astra.cli.console import clean, out, plain, print_json
from astra.configs.arenas import ShowArenaConfig
from astra.runs.folder import RunFolder
from astra.types import Arena, ArenaState, Goal, GoldCall, Json, ToolSchema

_LONG = 500


@command_from(
    ShowArenaConfig,
    examples=[
        "astra arenas show runs/world 3f2a",
        "astra arenas show runs/world 3f2a --source",
        "astra arenas show runs/world 3f2a --json",
    ],
)
def command(config: ShowArenaConfig, *, as_json: bool) -> None:
    """Show one arena: question, sub-questions, tools, certificate.

    With dependencies, gold calls and distractors.
    """
    # Uncertified ones, too: this is where one looks at what is wrong with them.
    arena = ArenaSet(config.run, uncertified=True).find(config.arena)
    certificate = find_certificate(Path(config.run), arena.id)
    if as_json:
        stored = None if certificate is None else certificate.model_dump(mode="json")
        print_json({"arena": arena.model_dump(mode="json"), "certificate": stored})
        return
    console = out()
    console.print(plain(f"arena {arena.id}", "bold"))
    hops = f"{arena.hops} hop" if arena.hops == 1 else f"{arena.hops} hops"
    facts = (arena.scenario, hops, arena.language, arena.domain, arena.split)
    console.print(plain(" · ".join(facts), "dim"))
    # A grid, for Chinese has no spaces to wrap at: beside a label it would start a line late.
    grid = Table.grid(Column(), Column(overflow="fold"), padding=(0, 2))
    grid.add_row(Text("question", "bold"), plain(arena.question))
    grid.add_row(Text("answer", "bold"), plain(arena.answer))
    console.print(grid)
    console.print(graph(arena))
    if arena.state is not None:
        console.print(state_tree(arena.state))
    console.print(Text("tools", style="bold"))
    for tool in arena.tools:
        tree = document_tree(tool.document)
        if arena.state is not None:
            tables = arena.state.writes.get(tool.name)
            mark = "reads" if tables is None else f"writes {', '.join(tables)}"
            tree.label = Text.assemble((f"{mark}  ", "magenta"), document_label(tool.document))
        console.print(tree)
        if config.source:
            console.print(Syntax(clean(tool.source), "python", word_wrap=True))
    _print_certificate(console, certificate)
    if not arena.distractors:
        console.print(Text("no distractors", style="bold"))
        return
    table = Table("distractor", "band", "similarity", Column("description", overflow="fold"))
    for tool in arena.distractors:
        similarity = "" if tool.similarity is None else f"{tool.similarity:.3f}"
        description = plain(tool.document.description, limit=120)
        table.add_row(plain(tool.name), tool.band, similarity, description)
    console.print(table)


def find_certificate(run: Path, arena_id: str) -> Certificate | None:
    """The last certificate of an arena in the folder, or None."""
    folder = RunFolder.open(run)
    found: int | None = None
    for offset, row in folder.values(CERTIFICATES):
        if row.get("arena") == arena_id:
            found = offset
    return None if found is None else folder.row_at(CERTIFICATES, found, Certificate)


def graph(arena: Arena) -> Tree:
    """The goals as a tree: each stands under the first goal that it waits for."""
    children: dict[str, list[Goal]] = {}
    known = {goal.id for goal in arena.goals}
    for goal in arena.goals:
        parent = next((name for name in goal.depends_on if name in known), "")
        children.setdefault(parent, []).append(goal)
    tree = Tree(Text("goals", style="bold"))
    drawn: set[str] = set()

    def draw(branch: Tree, parent: str) -> None:
        for goal in children.get(parent, []):
            if goal.id not in drawn:
                drawn.add(goal.id)
                draw(branch.add(_goal(goal)), goal.id)

    draw(tree, "")
    for goal in arena.goals:
        if goal.id not in drawn:  # a circle: the certificate refuses it, and we still show it
            tree.add(_goal(goal))
    return tree


def state_tree(state: ArenaState) -> Tree:
    """What has to be brought about, with the rows that must change: this is what is rewarded."""
    tree = Tree(plain(f"state at {state.now}: what must be brought about", "bold"))
    for goal in state.goals:
        branch = tree.add(Text.assemble(plain(goal.id, "bold cyan"), "  ", plain(goal.question)))
        for line in change_lines(state.tables(), goal.changes):
            branch.add(line)
        if goal.kind in ("ask", "cannot"):
            branch.add(plain(f"{goal.kind}, at turn {goal.turn + 1}; counts only with {goal.of}"))
        if (refusal := goal.refuses) is not None:
            by = f"refuse it by rule {refusal.rule}, after "
            if (fact := refusal.fact) is None:
                branch.add(plain(by + "doing " + ", ".join(refusal.after)))
            else:
                shown = plain(_literal(fact.value), "green", limit=_LONG)
                branch.add(Text.assemble(plain(f"{by}reading {fact.field} = "), shown))
        if goal.confirm:
            branch.add(plain("counts only after the user's yes to all of it"))
        if (said := goal.told or goal.says) is not None:
            branch.add(Text.assemble("tell ", plain(_literal(said.value), "green", limit=_LONG)))
    if state.policy is not None:
        branch = tree.add(
            Text.assemble(plain("policy", "bold"), "  ", plain(state.policy.user.text))
        )
        for number, rule in enumerate(state.policy.rules, 1):
            branch.add(plain(f"{number}. {rule.text}"))
    for number, turn in enumerate(state.turns, 1):
        branch = tree.add(Text.assemble(plain(f"turn {number}", "bold"), "  ", plain(turn.text)))
        for slot in turn.held:
            branch.add(Text.assemble("when asked: ", plain(slot.told)))
        if turn.brings:
            branch.add(Text.assemble("brings ", plain(", ".join(turn.brings), "yellow")))
    return tree


def _goal(goal: Goal) -> Text:
    text = Text.assemble(plain(goal.id, "bold cyan"), "  ", plain(goal.question, limit=_LONG))
    if goal.depends_on:
        text.append_text(plain("  after " + ", ".join(goal.depends_on), "dim"))
    if goal.call is None:
        text.append_text(plain("\nanswer node, no call", "dim"))
    else:
        text.append("\n")
        text.append_text(call_text(goal.call))
    text.append_text(Text.assemble(("\n= ", "bold"), plain(goal.answer, "green", limit=_LONG)))
    if (target := goal.target) is not None:
        place = f" in {target.field!r}" if target.field else " anywhere"
        key = f" beside {_literal(target.key)}" if target.key else ""
        text.append_text(plain(f"  ({target.matcher}{place}{key})", "dim"))
    return text


def call_text(call: GoldCall) -> Text:
    """A call as one reads it: `name(argument=value, …)`."""
    arguments = ", ".join(f"{name}={_literal(value)}" for name, value in call.arguments.items())
    return plain(f"{call.tool}({arguments})", "yellow", limit=_LONG)


def _literal(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def document_label(document: ToolSchema) -> Text:
    """A tool's name and description."""
    description = plain(document.description, limit=_LONG)
    return Text.assemble(plain(document.name, "bold yellow"), "  ", description)


def document_tree(document: ToolSchema) -> Tree:
    """A tool's name, description and parameters; the required ones are marked with *."""
    tree = Tree(document_label(document))
    schema = document.parameters
    properties, required = schema.get("properties"), schema.get("required")
    for name, about in (properties if isinstance(properties, dict) else {}).items():
        mark = "*" if isinstance(required, list) and name in required else ""
        # Schemas of servers and files: anything may stand where an object should.
        about = about if isinstance(about, dict) else {}
        parts = [about["type"] if isinstance(about.get("type"), str) else ""]
        if "enum" in about:
            parts.append(f"one of {_literal(about['enum'])}")
        if "default" in about:
            parts.append(f"default {_literal(about['default'])}")
        parts.append(str(about.get("description", "")))
        facts = plain("; ".join(filter(None, parts)), "dim", limit=_LONG)
        tree.add(Text.assemble(plain(f"{name}{mark}", "cyan"), "  ", facts))
    return tree


def _print_certificate(console: Console, certificate: Certificate | None) -> None:
    if certificate is None:
        console.print(Text("no certificate", style="bold red"))
        return
    word, style = ("certified", "green") if certificate.certified else ("not certified", "red")
    table = Table("check", "", *(Column(name, overflow="fold") for name in ("reason", "evidence")))
    for check in certificate.checks:
        mark = Text("ok", "green") if check.passed else Text("failed", "red")
        evidence = plain(check.evidence, limit=200) if check.evidence else Text("")
        table.add_row(plain(check.check), mark, plain(check.reason, limit=_LONG), evidence)
    console.print(plain(f"{word} (sandbox: {certificate.sandbox})", f"bold {style}"))
    console.print(table)

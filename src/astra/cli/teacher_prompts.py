"""`astra teacher prompts`: the prompts that teachers answer, their texts and their records."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from astra.cli.console import out, plain, print_json
from astra.cli.options import AsJson
from astra.errors import ConfigError
from astra.teacher.catalogue import ALL
from astra.teacher.prompt import Prompt
from astra.teacher.render import BUILT_IN, LANGUAGES, PromptTemplates, reply_schema
from astra.types import Json


def prompts_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this one.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of templates that go before ours.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the prompts, or show the templates of one with what goes in and comes out.

    Copy a template into a folder of your own and change it there; `--folder` shows what is used.

    \b
    Examples:
      astra teacher prompts
      astra teacher prompts write_tool
      astra teacher prompts paraphrase --folder my_prompts --json
    """
    templates = PromptTemplates(folder)
    if name is None:
        entries = [_entry(prompt, templates) for prompt in ALL]
        print_json(entries) if as_json else _print_list(entries)
        return
    entry = _whole(_find(name), templates)
    print_json(entry) if as_json else _print_one(entry)


def _find(name: str) -> Prompt[Any, Any]:
    for prompt in ALL:
        if prompt.name == name:
            return prompt
    names = [prompt.name for prompt in ALL]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    raise ConfigError(f"there is no prompt {name!r}: {hint}")


def _entry(prompt: Prompt[Any, Any], templates: PromptTemplates) -> dict[str, Json]:
    paths = {language: templates.path(prompt.name, language) for language in LANGUAGES}
    ours = all(BUILT_IN in path.parents for path in paths.values())
    return {
        "name": prompt.name,
        "version": prompt.version,
        "given": prompt.input_type.__name__,
        "wanted": prompt.output_type.__name__,
        "about": _about(templates.text(prompt.name, "en")),
        "from": "ours" if ours else "yours",
        "templates": {language: str(path) for language, path in paths.items()},
    }


def _about(text: str) -> str:
    """What a template says that the task is; its first line of text that is no Jinja."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("{")), "")
    return first.removeprefix("Task: ")


def _whole(prompt: Prompt[Any, Any], templates: PromptTemplates) -> dict[str, Json]:
    return {
        **_entry(prompt, templates),
        "system": {language: templates.text("_system", language) for language in LANGUAGES},
        "text": {language: templates.text(prompt.name, language) for language in LANGUAGES},
        "given_schema": prompt.input_type.model_json_schema(),
        "wanted_schema": reply_schema(prompt.output_type),
    }


def _print_list(entries: list[dict[str, Json]]) -> None:
    table = Table(Column("prompt", no_wrap=True), "what goes in", "what comes out", "task")
    for entry in entries:
        name = entry["name"] if entry["from"] == "ours" else f"{entry['name']} (yours)"
        table.add_row(name, entry["given"], entry["wanted"], plain(entry["about"]))
    out().print(table)


def _print_one(entry: dict[str, Json]) -> None:
    console = out()
    console.print(f"{entry['name']}, version {entry['version']}", style="bold")
    for part in ("system", "text"):
        for language, text in entry[part].items():
            path = entry["templates"][language] if part == "text" else "before every prompt"
            console.print(plain(f"\n── {part}, {language} ({path})", "bold"), soft_wrap=True)
            console.print(plain(text), soft_wrap=True)
    for part, title in (("given_schema", "what goes in"), ("wanted_schema", "what comes out")):
        console.print(plain(f"\n── {title}", "bold"))
        console.print(plain(entry[part]), soft_wrap=True)

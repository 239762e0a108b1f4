"""`astra teacher prompts`: the prompts that teachers answer, their texts and their records."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.teacher import ShowPromptsConfig
from astra.errors import ConfigError
from astra.teacher.catalogue import ALL
from astra.teacher.prompt import Prompt
from astra.teacher.render import BUILT_IN, LANGUAGES, PromptTemplates, reply_schema
from astra.types import Json


@command_from(
    ShowPromptsConfig,
    examples=[
        "astra teacher prompts",
        "astra teacher prompts write_tool",
        "astra teacher prompts paraphrase --prompt-templates my_prompts --json",
    ],
)
def command(config: ShowPromptsConfig, *, as_json: bool) -> None:
    """List and print the prompts.

    To change one, copy its template into a folder of your own and edit it there;
    --prompt-templates shows what is used.
    """
    folder = None if config.prompt_templates is None else Path(config.prompt_templates)
    templates = PromptTemplates(folder)
    if config.name is None:
        entries = [_entry(prompt, templates) for prompt in ALL]
        print_json(entries) if as_json else _print_list(entries)
        return
    entry = _whole(_find(config.name), templates)
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
    built_in = all(BUILT_IN in path.parents for path in paths.values())
    return {
        "name": prompt.name,
        "version": prompt.version,
        "input": prompt.input_type.__name__,
        "output": prompt.output_type.__name__,
        "task": _task(templates.text(prompt.name, "en")),
        "from": "built-in" if built_in else "yours",
        "templates": {language: str(path) for language, path in paths.items()},
    }


def _task(text: str) -> str:
    """The task that a template names: its first line of text outside Jinja."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("{")), "")
    return first.removeprefix("Task: ")


def _whole(prompt: Prompt[Any, Any], templates: PromptTemplates) -> dict[str, Json]:
    return {
        **_entry(prompt, templates),
        "system": {language: templates.text("_system", language) for language in LANGUAGES},
        "text": {language: templates.text(prompt.name, language) for language in LANGUAGES},
        "input_schema": prompt.input_type.model_json_schema(),
        "output_schema": reply_schema(prompt.output_type),
    }


def _print_list(entries: list[dict[str, Json]]) -> None:
    table = Table(Column("prompt", no_wrap=True), "input", "output", "task")
    for entry in entries:
        name = entry["name"] if entry["from"] == "built-in" else f"{entry['name']} (yours)"
        table.add_row(name, entry["input"], entry["output"], plain(entry["task"]))
    out().print(table)


def _print_one(entry: dict[str, Json]) -> None:
    console = out()
    console.print(f"{entry['name']}, version {entry['version']}", style="bold")
    for part in ("system", "text"):
        for language, text in entry[part].items():
            path = entry["templates"][language] if part == "text" else "before every prompt"
            console.print(plain(f"\n── {part}, {language} ({path})", "bold"), soft_wrap=True)
            console.print(plain(text), soft_wrap=True)
    for part, title in (("input_schema", "input"), ("output_schema", "output")):
        console.print(plain(f"\n── {title}", "bold"))
        console.print(plain(entry[part]), soft_wrap=True)

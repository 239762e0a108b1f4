"""`astra teacher prompts`: the prompts that teachers answer, their texts and their records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Column, Table

from astra.cli.command import command_from
from astra.cli.console import out, plain, print_json
from astra.configs.options import did_you_mean
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
        if as_json:
            print_json(entries)
            return
        table = Table(Column("prompt", no_wrap=True), "input", "output", "task")
        for entry in entries:
            name = entry["name"] if entry["from"] == "built-in" else f"{entry['name']} (yours)"
            table.add_row(name, entry["input"], entry["output"], plain(entry["task"]))
        out().print(table)
        return
    prompt = next((prompt for prompt in ALL if prompt.name == config.name), None)
    if prompt is None:
        names = [prompt.name for prompt in ALL]
        hint = did_you_mean(config.name, names) or f": there are {', '.join(names)}"
        raise ConfigError(f"there is no prompt {config.name!r}{hint}")
    entry = {
        **_entry(prompt, templates),
        "system": {language: templates.text("_system", language) for language in LANGUAGES},
        "text": {language: templates.text(prompt.name, language) for language in LANGUAGES},
        "input_schema": prompt.input_type.model_json_schema(),
        "output_schema": reply_schema(prompt.output_type),
    }
    if as_json:
        print_json(entry)
        return
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


def _entry(prompt: Prompt[Any, Any], templates: PromptTemplates) -> dict[str, Json]:
    paths = {language: templates.path(prompt.name, language) for language in LANGUAGES}
    built_in = all(BUILT_IN in path.parents for path in paths.values())
    # A template's task is its first line of text outside Jinja.
    lines = (line.strip() for line in templates.text(prompt.name, "en").splitlines())
    task = next((line for line in lines if line and not line.startswith("{")), "")
    return {
        "name": prompt.name,
        "version": prompt.version,
        "input": prompt.input_type.__name__,
        "output": prompt.output_type.__name__,
        "task": task.removeprefix("Task: "),
        "from": "built-in" if built_in else "yours",
        "templates": {language: str(path) for language, path in paths.items()},
    }

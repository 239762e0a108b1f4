"""From a prompt and its input to the messages that a model reads, and back.

A prompt's text is the Jinja2 template `prompts/<part>/<name>.md`, or `<name>.<language>.md` if
there is one for the language of the input; `_system` goes before every prompt, `_again` follows a
reply that could not be used. A user's folder of templates takes precedence, file by file.

Guaranteed: data can't leave its block, whatever it holds, nor reach the template engine; a template
reads nothing but its input. Not guaranteed: that a model never follows an instruction in the data,
or that a template ends soon.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import FunctionLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from astra.core.files import read_bounded
from astra.errors import ConfigError
from astra.teacher.catalogue import ALL
from astra.teacher.prompt import Prompt
from astra.types import Json, Message, Record, content_hash

BUILT_IN = Path(__file__).parent / "prompts"
SHARED = ("_system", "_again", "_code")
"""Templates that several prompts use."""
LANGUAGES = ("en", "zh")

_BLOCK = re.compile(r"^<data>\n(.*?)\n</data>$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([a-z][a-z0-9_]*)`")
_LARGEST = 2**20
"""Bytes of a template file."""
_EXPRESSION_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What a template's own expressions raise. OverflowError is an ArithmeticError."""


class RenderTask(NamedTuple):
    """What stands in rendered messages."""

    prompt: str
    fields: dict[str, Json]
    """The input as it was shown: fields that the template withholds are missing."""


def fenced(value: Json) -> str:
    """A value as the block that marks it as data. Nothing in the value can end the block."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return "<data>\n" + text.replace("</", r"<\/") + "\n</data>"


def without(task: Mapping[str, Json], *names: str) -> dict[str, Json]:
    """The input without these fields of its steps."""
    steps = [{k: v for k, v in step.items() if k not in names} for step in task["steps"]]
    return {**task, "steps": steps}


def read_task(messages: Sequence[Mapping[str, Json]]) -> RenderTask | None:
    """The task in messages (as sent over the wire). None if our templates did not make them."""
    texts = [str(message.get("content")) for message in messages]
    name = _NAME.search(texts[0].partition("\n")[0]) if texts else None
    block = next((match for text in texts[1:] if (match := _BLOCK.search(text))), None)
    if name is None or block is None:
        return None
    return RenderTask(name[1], json.loads(block[1]))


def as_task(prompt: Prompt[Any, Any], fields: Mapping[str, Json]) -> Record:
    """The input as far as it was shown; what was withheld of steps is an empty text."""
    complete = dict(fields)
    if "steps" in complete:
        complete["steps"] = [{"answer": "", "kind": "text", **step} for step in complete["steps"]]
    return prompt.input_type.model_validate_json(json.dumps(complete))


class PromptTemplates:
    """The texts of all prompts. ConfigError for a template that can't be used, naming the file."""

    def __init__(
        self, folder: Path | None = None, *, prompts: Sequence[Prompt[Any, Any]] = ALL
    ) -> None:
        """`folder`: the user's templates. A file that belongs to none of `prompts` is refused."""
        self._folder = folder
        self._built_in = {path.name: path for path in BUILT_IN.glob("*/*.md")}
        # A folder of templates may come from anybody: its templates can only make texts.
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._included), undefined=StrictUndefined, trim_blocks=True
        )
        filters: dict[str, Any] = {
            "fenced": fenced,
            "without": without,
            "json": lambda value: json.dumps(value, ensure_ascii=False),
        }
        self._environment.filters.update(filters)
        self._systems: dict[tuple[Prompt[Any, Any], str], Message] = {}
        self._compiled: dict[tuple[str, str], tuple[Path, Any]] = {}
        if folder is not None:
            _check_names(folder, [*(prompt.name for prompt in prompts), *SHARED])

    def path(self, name: str, language: str) -> Path:
        """The file that a prompt's text comes from."""
        files = (f"{name}.{language}.md", f"{name}.md")
        for file in files:
            if self._folder is not None and (path := self._folder / file).is_file():
                return path
        for file in files:
            if file in self._built_in:
                return self._built_in[file]
        where = "" if self._folder is None else f" in {str(self._folder)!r}"
        raise ConfigError(f"there is no template {name + '.md'!r}{where}: write it")

    def _included(self, file: str) -> str | None:
        """The text that a template imports: a plain file of the folders, never behind a link."""
        if self._folder is not None and Path(file).name == file:
            path = self._folder / file
            if path.is_file() and not path.is_symlink():
                return _read(path)
        path = self._built_in.get(file)
        return None if path is None else _read(path)

    def text(self, name: str, language: str) -> str:
        """A template as it was written."""
        return _read(self.path(name, language))

    def messages(self, prompt: Prompt[Any, Any], task: Record) -> list[Message]:
        """What the model is sent. The same input gives the same messages."""
        fields = task.model_dump(mode="json")
        language = str(fields.get("language", "en"))
        variables = {
            "name": prompt.name,
            "language": language,
            "schema": schema_text(prompt.output_type),
        }
        system = self._systems.get((prompt, language))
        if system is None:
            text = prompt.system or self._render("_system", language, variables)
            system = self._systems[prompt, language] = Message(role="system", content=text)
        user = self._render(prompt.name, language, {**variables, "task": fields})
        return [system, Message(role="user", content=user)]

    def again(self, task: Record, problem: str) -> Message:
        """The message that follows a reply that could not be used."""
        language = str(getattr(task, "language", "en"))
        return Message(role="user", content=self._render("_again", language, {"problem": problem}))

    def _render(self, name: str, language: str, variables: Mapping[str, Json]) -> str:
        if (name, language) not in self._compiled:
            path = self.path(name, language)
            try:
                template = self._environment.from_string(_read(path))
            except TemplateError as error:
                raise ConfigError(f"{str(path)!r} is not a Jinja2 template: {error}") from error
            self._compiled[name, language] = path, template
        path, template = self._compiled[name, language]
        try:
            return template.render(variables)
        except (TemplateError, *_EXPRESSION_ERRORS) as error:
            raise ConfigError(f"template {str(path)!r} can't be rendered: {error}") from error


def _read(path: Path) -> str:
    content = read_bounded(path, _LARGEST, "that is not a template")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8 text: save it as such") from error


def _check_names(folder: Path, names: Sequence[str]) -> None:
    """Refuse files of no prompt: a misspelt one would be ignored silently."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder of prompts at {str(folder)!r}")
    for path in sorted(folder.glob("*.md")):
        if path.is_symlink() or not path.is_file():
            # A link to a private file would send that file to the endpoint.
            raise ConfigError(f"{str(path)!r} is not a plain file: put the template itself there")
        name, _, language = path.name.removesuffix(".md").partition(".")
        if name in names and language in ("", *LANGUAGES):
            continue
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0] + '.md'!r}?" if near else "see `astra teacher prompts`"
        raise ConfigError(f"{str(path)!r} belongs to no prompt: {hint}")


# --- schemas -----------------------------------------------------------------------------------


@cache
def reply_schema(output_type: type[Record]) -> dict[str, Json]:
    """JSON Schema of a reply: every field is required, so that nothing is ever defaulted."""

    def tidy(schema: Json) -> Json:
        if isinstance(schema, list):
            return [tidy(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        result: dict[str, Json] = {}
        for key, value in schema.items():
            if key in ("properties", "$defs"):  # their keys are our names, not keywords
                result[key] = {name: tidy(child) for name, child in value.items()}
            elif key not in ("title", "default"):
                result[key] = tidy(value)
        if "properties" in result:
            result["required"] = list(result["properties"])
        return result

    return tidy(output_type.model_json_schema())


@cache
def schema_text(output_type: type[Record]) -> str:
    """The schema as it stands in a message."""
    return json.dumps(reply_schema(output_type), ensure_ascii=False, separators=(",", ":"))


@cache
def schema_hash(output_type: type[Record]) -> str:
    """The schema as it stands in the key of an answer."""
    return content_hash(reply_schema(output_type))


@cache
def is_closed(output_type: type[Record]) -> bool:
    """Whether strict structured output can express the schema: no objects with arbitrary keys."""

    def closed(schema: Json) -> bool:
        if isinstance(schema, list):
            return all(map(closed, schema))
        if not isinstance(schema, dict):
            return True
        free = schema.get("type") == "object" and schema.get("additionalProperties") is not False
        return not free and all(map(closed, schema.values()))

    return closed(reply_schema(output_type))

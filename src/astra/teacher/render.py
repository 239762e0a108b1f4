"""From a prompt and its input to the messages that a model reads, and back.

A prompt's text is the Jinja2 template `prompts/<name>.md`, or `<name>.<language>.md` where there
is one for the language of the input; `_system` goes before every prompt, `_again` follows a reply
that could not be used. A folder of the user's goes before ours, file by file.

What this does guarantee: data can't leave its block, whatever it holds, nor reach the template
engine; a template reads nothing but its input. What it does not: that a model never follows an
instruction which stands in the data, or that a template ends soon.
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

from astra.errors import ConfigError
from astra.teacher.catalogue import ALL
from astra.teacher.prompt import Prompt
from astra.types import Json, Message, Record, content_hash

OURS = Path(__file__).parent / "prompts"
SHARED = ("_system", "_again", "_code")
"""Templates that several prompts use."""
LANGUAGES = ("en", "zh")

_BLOCK = re.compile(r"^<data>\n(.*?)\n</data>$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([a-z][a-z0-9_]*)`")
_LARGEST = 2**20
"""Bytes of a template file."""
_WRONG = (TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What a template's own expressions raise. OverflowError is an ArithmeticError."""


class RenderTask(NamedTuple):
    """What stands in rendered messages."""

    prompt: str
    given: dict[str, Json]
    """The input as it was shown: the fields that the template withholds are missing."""


def fenced(value: Json) -> str:
    """A value as the block that marks it as data. Nothing in the value can end the block."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return "<data>\n" + text.replace("</", r"<\/") + "\n</data>"


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def without(task: Mapping[str, Json], *names: str) -> dict[str, Json]:
    """The input without these fields of its steps."""
    steps = [{k: v for k, v in step.items() if k not in names} for step in task["steps"]]
    return {**task, "steps": steps}


def read_task(messages: Sequence[Mapping[str, Json]]) -> RenderTask | None:
    """The task in messages (as sent over the wire) that our templates made; None: in none."""
    texts = [str(message.get("content")) for message in messages]
    name = _NAME.search(texts[0].partition("\n")[0]) if texts else None
    block = next((found for text in texts[1:] if (found := _BLOCK.search(text))), None)
    if name is None or block is None:
        return None
    return RenderTask(name[1], json.loads(block[1]))


def as_given(prompt: Prompt[Any, Any], shown: Mapping[str, Json]) -> Record:
    """The input as far as it was shown; what was withheld of steps is an empty text."""
    given = dict(shown)
    if "steps" in given:
        given["steps"] = [{"answer": "", "kind": "text", **step} for step in given["steps"]]
    return prompt.given.model_validate_json(json.dumps(given))


class PromptTemplates:
    """The texts of all prompts. ConfigError for a template that can't be used, naming the file."""

    def __init__(
        self, folder: Path | None = None, *, prompts: Sequence[Prompt[Any, Any]] = ALL
    ) -> None:
        """`folder`: the user's; what is in there of none of the `prompts` is refused."""
        self._folders = [OURS] if folder is None else [folder, OURS]
        # A folder of prompts may be somebody else's: its templates only make texts.
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._included), undefined=StrictUndefined, trim_blocks=True
        )
        filters: dict[str, Any] = {"fenced": fenced, "without": without, "json": _json}
        self._environment.filters.update(filters)
        self._systems: dict[tuple[Prompt[Any, Any], str], Message] = {}
        self._compiled: dict[tuple[str, str], tuple[Path, Any]] = {}
        if folder is not None:
            _check_names(folder, [*(prompt.name for prompt in prompts), *SHARED])

    def path(self, name: str, language: str) -> Path:
        """The file that a prompt's text comes from."""
        for folder in self._folders:
            for file in (f"{name}.{language}.md", f"{name}.md"):
                if (folder / file).is_file():
                    return folder / file
        where = " or ".join(repr(str(folder)) for folder in self._folders)
        raise ConfigError(f"there is no template {name + '.md'!r} in {where}: write it")

    def _included(self, file: str) -> str | None:
        """What a template imports: a plain file of the folders themselves, never through a link."""
        for folder in self._folders if Path(file).name == file else ():
            path = folder / file
            if path.is_file() and not path.is_symlink():
                return _read(path)
        return None

    def text(self, name: str, language: str) -> str:
        """A template as it was written."""
        return _read(self.path(name, language))

    def messages(self, prompt: Prompt[Any, Any], given: Record) -> list[Message]:
        """What the model is sent. The same input gives the same messages."""
        task = given.model_dump(mode="json")
        language = str(task.get("language", "en"))
        known = {
            "name": prompt.name,
            "language": language,
            "schema": schema_text(prompt.wanted),
        }
        system = self._systems.get((prompt, language))
        if system is None:
            text = prompt.system or self._render("_system", language, known)
            system = self._systems[prompt, language] = Message(role="system", content=text)
        user = self._render(prompt.name, language, {**known, "task": task})
        return [system, Message(role="user", content=user)]

    def again(self, given: Record, problem: str) -> Message:
        """What is said after a reply that could not be used."""
        language = str(getattr(given, "language", "en"))
        return Message(role="user", content=self._render("_again", language, {"problem": problem}))

    def _render(self, name: str, language: str, known: Mapping[str, Json]) -> str:
        path, template = self._template(name, language)
        try:
            return template.render(known)
        except (TemplateError, *_WRONG) as error:
            raise ConfigError(f"template {str(path)!r} can't be rendered: {error}") from error

    def _template(self, name: str, language: str) -> tuple[Path, Any]:
        key = (name, language)
        if key not in self._compiled:
            path = self.path(name, language)
            try:
                self._compiled[key] = path, self._environment.from_string(_read(path))
            except TemplateError as error:
                raise ConfigError(f"{str(path)!r} is no Jinja2 template: {error}") from error
        return self._compiled[key]


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ConfigError(f"{str(path)!r} is over {_LARGEST} bytes: this is no template")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is no UTF-8 text: save it as such") from error


def _check_names(folder: Path, names: Sequence[str]) -> None:
    """A misspelt file would be passed over without a word."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder of prompts at {str(folder)!r}")
    for path in sorted(folder.glob("*.md")):
        if path.is_symlink() or not path.is_file():
            # One that leads to a private file would send it to the endpoint.
            raise ConfigError(f"{str(path)!r} is no plain file: put the template itself there")
        name, _, language = path.name.removesuffix(".md").partition(".")
        if name in names and language in ("", *LANGUAGES):
            continue
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0] + '.md'!r}?" if near else "see `astra teacher prompts`"
        raise ConfigError(f"{str(path)!r} is the template of no prompt: {hint}")


# --- schemas -----------------------------------------------------------------------------------


@cache
def reply_schema(wanted: type[Record]) -> dict[str, Json]:
    """JSON Schema of a reply: every field must be given, so that nothing is ever defaulted."""
    return _tidy(wanted.model_json_schema())


def _tidy(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {k: v for k, v in schema.items() if k not in ("title", "default")}
    for key in ("properties", "$defs"):  # names of ours, not keywords
        if key in tidy:
            tidy[key] = {name: _tidy(value) for name, value in tidy[key].items()}
    tidy = {k: v if k in ("properties", "$defs") else _tidy(v) for k, v in tidy.items()}
    if "properties" in tidy:
        tidy["required"] = list(tidy["properties"])
    return tidy


@cache
def schema_text(wanted: type[Record]) -> str:
    """The schema as it stands in a message."""
    return json.dumps(reply_schema(wanted), ensure_ascii=False, separators=(",", ":"))


@cache
def schema_hash(wanted: type[Record]) -> str:
    """The schema as it stands in the key of an answer."""
    return content_hash(reply_schema(wanted))


@cache
def is_closed(wanted: type[Record]) -> bool:
    """Whether strict structured output can express the schema: no objects of free keys."""
    return _closed(reply_schema(wanted))


def _closed(schema: Json) -> bool:
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    free = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not free and all(map(_closed, schema.values()))

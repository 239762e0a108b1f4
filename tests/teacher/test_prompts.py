"""The templates: complete, strict, their examples right, data kept apart from instructions."""

import json
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.certificate.function_signature import signature
from astra.errors import ConfigError
from astra.teacher import catalogue
from astra.teacher.parse import as_record
from astra.teacher.prompt import Prompt
from astra.teacher.prompts import arenas
from astra.teacher.render import (
    BUILT_IN,
    LANGUAGES,
    SHARED,
    PromptTemplates,
    as_task,
    is_closed,
    read_task,
    reply_schema,
)
from astra.types import Language, Message

from .model_given import INJECTION, given

EACH = pytest.mark.parametrize("prompt", catalogue.ALL, ids=lambda prompt: prompt.name)
BOTH = pytest.mark.parametrize("language", LANGUAGES)
NAMES = [prompt.name for prompt in catalogue.ALL]


def sent(messages: list[Message]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def examples(text: str) -> list[dict[str, Any]]:
    """The replies that a prompt shows: lines that are JSON, outside of the data."""
    before = text.partition("\n<data>\n")[0]
    return [json.loads(line) for line in before.splitlines() if line.startswith("{")]


# --- ours -------------------------------------------------------------------------------------


@EACH
@BOTH
def test_what_is_sent_can_be_read_back(prompt: Prompt[Any, Any], language: Language):
    asked = given(prompt, language)
    system, user = PromptTemplates().messages(prompt, asked)
    assert (system.role, user.role) == ("system", "user")
    assert json.dumps(reply_schema(prompt.output_type), ensure_ascii=False).replace(
        " ", ""
    ) in system.content.replace(" ", "")
    task = read_task(sent([system, user]))
    assert task is not None and task.prompt == prompt.name
    shown = as_task(prompt, task.fields)
    if "steps" not in task.fields:
        assert shown == asked
    assert shown.model_dump().keys() == asked.model_dump().keys()


@EACH
@BOTH
def test_worked_examples_are_valid_replies(prompt: Prompt[Any, Any], language: Language):
    user = PromptTemplates().messages(prompt, given(prompt, language))[1]
    shown = examples(user.content)
    assert shown
    for example in shown:
        as_record(example, prompt.output_type)


@EACH
def test_each_language_speaks_itself(prompt: Prompt[Any, Any]):
    """Most of the Chinese text is Chinese, none of the English is."""

    def chinese(language: Language) -> float:
        text = "".join(
            m.content for m in PromptTemplates().messages(prompt, given(prompt, language))
        )
        return sum("\u4e00" <= character <= "\u9fff" for character in text) / len(text)

    assert chinese("en") == 0
    assert chinese("zh") > 0.1


@pytest.mark.parametrize("prompt", [arenas.TOOL, arenas.EXTEND], ids=lambda prompt: prompt.name)
@BOTH
def test_the_code_of_examples_keeps_its_own_rules(prompt: Prompt[Any, Any], language: Language):
    user = PromptTemplates().messages(prompt, given(prompt, language))[1]
    (example,) = examples(user.content)
    tool = example.get("implementation", example)
    name = "get_country_population"
    assert [p.name for p in signature(tool["source"], name)] == ["country", "unit"]
    scope: dict[str, Any] = {}
    exec(tool["source"], scope)
    function = scope[name]
    results = [function(**decoy) for decoy in tool["decoys"]]
    wanted = example.get("arguments", {"country": {"en": "Norway", "zh": "挪威"}[language]})
    results.append(function(**wanted))
    assert results[-1][tool["field"]] == (34038457 if "arguments" in example else 5550203)
    assert len({result[tool["field"]] for result in results}) == len(results) == 6
    assert all(result[key] for result in results for key in tool["key_fields"])
    for wrong in (True, None, 1.5, "", "nowhere", [], {"a": [1]}, "x" * 10_000):
        assert function(wrong)["error"]["message"]
        assert function(wanted["country"], wrong)["error"]["message"]


@pytest.mark.parametrize(
    "prompt",
    [arenas.NECESSITY, arenas.DEPENDENCY, arenas.ATOMICITY, arenas.RATIONALITY, arenas.GROUP],
    ids=lambda prompt: prompt.name,
)
@BOTH
def test_judges_of_steps_see_no_answers(prompt: Prompt[Any, Any], language: Language):
    messages = PromptTemplates().messages(prompt, given(prompt, language))
    assert "SECRET" not in messages[1].content
    assert "Its currency?" in messages[1].content


def test_the_judge_of_necessity_is_not_told_the_verdict():
    user = PromptTemplates().messages(arenas.NECESSITY, given(arenas.NECESSITY, "en"))[1]
    assert "needs_tool" not in user.content


@EACH
def test_data_never_leaves_its_block(prompt: Prompt[Any, Any]):
    asked = given(prompt, "en", INJECTION)
    messages = PromptTemplates().messages(prompt, asked)
    text = messages[1].content
    assert text.count("\n<data>\n") == text.count("\n</data>") == 1
    assert text.rstrip().endswith("</data>")
    assert "49" not in text.rpartition("<data>")[2]
    task = read_task(sent(messages))
    assert task is not None
    if "question" in task.fields:
        assert task.fields["question"] == asked.model_dump()["question"]


def test_our_folder_holds_no_template_of_nothing():
    names = {path.name.split(".")[0] for path in BUILT_IN.glob("*/*.md")}
    assert names == {*NAMES, *SHARED}


# --- schemas ----------------------------------------------------------------------------------


@EACH
def test_every_field_is_required(prompt: Prompt[Any, Any]):
    schema = reply_schema(prompt.output_type)
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False
    assert '"default":' not in json.dumps(schema)


def test_strict_only_where_no_object_is_free():
    closed = {prompt.name for prompt in arenas.ALL if is_closed(prompt.output_type)}
    assert closed == {
        *("propose", "decompose", "judge_necessity", "judge_dependency", "judge_atomicity"),
        *("judge_rationality", "judge_completeness", "group_steps", "paraphrase"),
        "judge_wording",
    }


# --- the user's -------------------------------------------------------------------------------


def test_a_folder_goes_before_ours(tmp_path: Path):
    (tmp_path / "paraphrase.md").write_text("Mine, {{ language }}: {{ task | fenced }}")
    (tmp_path / "_again.zh.md").write_text("又一次")
    templates = PromptTemplates(tmp_path)
    for language in LANGUAGES:
        asked = given(arenas.PARAPHRASE, language)
        assert templates.messages(arenas.PARAPHRASE, asked)[1].content.startswith(
            f"Mine, {language}: <data>"
        )
    assert templates.again(given(arenas.GROUP, "zh"), "x").content == "又一次"
    assert "x" in templates.again(given(arenas.GROUP, "en"), "x").content
    ours = PromptTemplates().messages(arenas.GROUP, given(arenas.GROUP, "en"))
    assert templates.messages(arenas.GROUP, given(arenas.GROUP, "en")) == ours


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("paraphrase.md", b"{{ task.qestion }}", "can't be rendered"),
        ("paraphrase.md", b"{% if %}", "not a Jinja2 template"),
        ("paraphrase.md", b"\xff\xfe\xff", "not UTF-8"),
        ("paraphrase.md", b"x" * (2**20 + 1), "not a template"),
        ("paraphase.md", b"", "did you mean 'paraphrase.md'"),
        ("paraphrase.fr.md", b"", "belongs to no prompt"),
        ("paraphrase.md", b"{{ ''.__class__.__mro__ }}", "unsafe"),
        ("paraphrase.md", b"{{ cycler.__init__.__globals__.os }}", "unsafe"),
        ("paraphrase.md", b"{{ task.update({'a': 1}) }}", "unsafe"),
        ("paraphrase.md", b"{% for i in range(10**9) %}{% endfor %}", "too big"),
        ("paraphrase.md", b"{{ 1 / 0 }}", "zero"),
        ("paraphrase.md", b"{% include 'paraphrase.md' %}", "recursion"),
        ("paraphrase.md", b"{% include '/etc/passwd' %}", "can't be rendered"),
        ("paraphrase.md", b"{% include '../x.md' %}", "can't be rendered"),
    ],
    ids=[
        *("unknown field", "syntax", "encoding", "size", "misspelt", "language", "classes"),
        *("globals", "input", "loop", "arithmetic", "itself", "absolute", "above"),
    ],
)
def test_a_wrong_template_is_named(tmp_path: Path, file: str, text: bytes, told: str):
    (tmp_path / file).write_bytes(text)
    with pytest.raises(ConfigError, match=told) as raised:
        templates = PromptTemplates(tmp_path)
        templates.messages(arenas.PARAPHRASE, given(arenas.PARAPHRASE, "en"))
    assert file in str(raised.value)


def test_links_are_not_sent_to_an_endpoint(tmp_path: Path):
    folder, private = tmp_path / "prompts", tmp_path / "private"
    folder.mkdir()
    private.write_text("very private")
    (folder / "paraphrase.md").symlink_to(private)
    with pytest.raises(ConfigError, match="not a plain file"):
        PromptTemplates(folder)
    (folder / "paraphrase.md").unlink()
    (folder / "paraphrase.md").mkdir()
    with pytest.raises(ConfigError, match="not a plain file"):
        PromptTemplates(folder)
    (folder / "paraphrase.md").rmdir()
    (folder / "paraphrase.md").write_text("{% include 'more' %}")
    (folder / "more").symlink_to(private)
    with pytest.raises(ConfigError, match="can't be rendered"):
        PromptTemplates(folder).messages(arenas.PARAPHRASE, given(arenas.PARAPHRASE, "en"))
    (folder / "more").unlink()
    (folder / "more").write_text("plain")
    sent = PromptTemplates(folder).messages(arenas.PARAPHRASE, given(arenas.PARAPHRASE, "en"))
    assert sent[1].content == "plain"


def test_no_such_folder(tmp_path: Path):
    with pytest.raises(ConfigError, match="no folder of prompts"):
        PromptTemplates(tmp_path / "none")

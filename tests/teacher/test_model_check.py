"""`astra teacher check` and `astra teacher prompts`, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.teacher.catalogue import ALL
from astra.types import Message, ToolCallRequest, Usage
from tests.support.model_server import ModelServer, ModelServerFault, ServerAnswer, completion

KEY = "sk-very-secret-0123456789"
GOOD = '{"question": "How high is Kilimanjaro?"}'
CALL = ToolCallRequest(id="1", tool="get_mountain_height", arguments='{"mountain": "Kilimanjaro"}')


def server(
    *taken: str, good: str = GOOD, tools: bool = True, choices: int = 2, usage: bool = True
) -> Callable[[int, Any], ServerAnswer]:
    """An endpoint that can do some things and refuses others."""

    def respond(index: int, body: Any) -> ServerAnswer:
        form = body.get("response_format", {}).get("type", "text")
        if form not in taken:
            return ModelServerFault("status", status=400, text=f"no {form} here")
        if "tools" in body:
            calls = (CALL,) if tools else ()
            answer = completion(Message(role="assistant", content="Hm.", tool_calls=calls))
        else:
            answer = completion(
                Message(role="assistant", content=good),
                usage=Usage(prompt_tokens=9, completion_tokens=9),
            )
            answer["choices"] *= min(body.get("n", 1), choices)
        if not usage:
            del answer["usage"]
        return answer

    return respond


ALL_FORMS = ("json_schema", "json_object", "text")


def check(
    capfd: pytest.CaptureFixture[str], respond: Any, *options: str
) -> tuple[int, dict[str, Any], str]:
    with ModelServer(respond) as endpoint:
        arguments = ["teacher", "check", "--teacher", "big", "--teacher-url", endpoint.url]
        status = run([*arguments, *options, "--json"])
    said, err = capfd.readouterr()
    return status, json.loads(said) if said else {}, err


def test_an_endpoint_that_can_all(capfd: pytest.CaptureFixture[str]):
    status, found, _ = check(capfd, server(*ALL_FORMS))
    assert (status, found["usable"], found["form"]) == (0, True, "schema")
    assert all(finding["works"] for finding in found["forms"].values())
    assert found["tools"]["works"] and found["choices"]["works"] and found["usage"]["works"]
    assert found["reasoning"] == "none"
    assert found["seconds"] < 10


def test_an_endpoint_that_can_little(capfd: pytest.CaptureFixture[str]):
    respond = server("text", good=f"<think>?</think>{GOOD}", tools=False, choices=1, usage=False)
    status, found, _ = check(capfd, respond)
    assert (status, found["usable"], found["form"]) == (0, True, "text")
    works = {form: finding["works"] for form, finding in found["forms"].items()}
    assert works == {"schema": False, "json": False, "text": True}
    assert "called nothing" in found["tools"]["detail"]
    assert "1 came" in found["choices"]["detail"]
    assert not found["usage"]["works"]
    assert found["reasoning"] == "inline"


@pytest.mark.parametrize(
    "respond", [server(), server(*ALL_FORMS, good="I'd rather talk."), server("text", good="")]
)
def test_an_endpoint_that_cannot_teach(capfd: pytest.CaptureFixture[str], respond: Any):
    status, found, _ = check(capfd, respond)
    assert (status, found["usable"]) == (1, False)


def test_an_endpoint_that_is_not_there(capfd: pytest.CaptureFixture[str]):
    options = ["--teacher-url", "http://127.0.0.1:9/v1", "--teacher-timeout", "2"]
    assert run(["teacher", "check", "--teacher", "big", *options]) == 2
    assert "could not be asked" in capfd.readouterr().err


def test_a_wrong_key_is_told_and_not_shown(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MY_KEY", KEY)
    fault = ModelServerFault("status", status=401, text=f"wrong key {KEY}")
    status, _, err = check(capfd, [fault], "--teacher-key-env", "MY_KEY")
    assert status == 2
    assert "Check the API key" in err and KEY not in err
    status, _, err = check(capfd, [fault], "--teacher-key-env", "NO_SUCH_KEY")
    assert status == 2 and "NO_SUCH_KEY" in err


def test_the_table(capfd: pytest.CaptureFixture[str]):
    hostile = '{"question": "[red]\\u001b[31m"}'
    with ModelServer(server(*ALL_FORMS, good=hostile)) as endpoint:
        assert run(["teacher", "check", "--teacher", "big", "--teacher-url", endpoint.url]) == 0
    said = capfd.readouterr().out
    assert "JSON schema (used)" in said and "can be a teacher" in said
    assert "\x1b[31m" not in said


def test_the_list_of_prompts(capfd: pytest.CaptureFixture[str]):
    assert run(["teacher", "prompts"]) == 0
    said = capfd.readouterr().out
    assert all(prompt.name in said for prompt in ALL)
    assert run(["teacher", "prompts", "--json"]) == 0
    entries = json.loads(capfd.readouterr().out)
    assert [entry["name"] for entry in entries] == [prompt.name for prompt in ALL]
    assert all(entry["task"] for entry in entries)


def test_one_prompt(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    assert run(["teacher", "prompts", "write_tool"]) == 0
    said = capfd.readouterr().out
    assert "decoys" in said and "任务" in said
    (tmp_path / "write_tool.md").write_text("Mine.")
    assert (
        run(["teacher", "prompts", "write_tool", "--prompt-templates", str(tmp_path), "--json"])
        == 0
    )
    entry = json.loads(capfd.readouterr().out)
    assert entry["text"]["en"] == "Mine." and entry["from"] == "yours"
    assert entry["output_schema"]["required"][0] == "source"


def test_a_prompt_that_is_none(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    assert run(["teacher", "prompts", "write_tol"]) == 2
    assert "did you mean 'write_tool'" in capfd.readouterr().err
    assert run(["teacher", "prompts", "--prompt-templates", str(tmp_path / "none")]) == 2

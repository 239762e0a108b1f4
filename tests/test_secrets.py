"""Planted keys and passwords reach no file of a run, no output and no log, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run
from astra.errors import AstraError, ConfigError
from astra.hosts.live import LiveHost
from astra.hosts.mcp_entries import HIDDEN, parse_entry
from astra.models.embed_openai import OpenAIEmbedder
from astra.models.endpoint import KeyMask
from astra.models.keys import api_key
from astra.models.openai import OpenAIModel, Retries
from astra.protocols import Sampling
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.testing.http_server import HttpReply, HttpRequest, LoopbackServer
from astra.types import Message
from tests.collect.servers import mcp_file, value
from tests.support.model_server import completion
from tests.training.rl_given import taught, world
from tests.training.sft_made import tiny
from tests.trajectories.services import calendar

ROOT = Path(__file__).parents[1]
# Letters that writers of JSON, HTML and URLs spell in ways of their own.
AGENT, TEACHER, EMBEDDER = (f"sk-{who}/7Q+x9=Zk/end4" for who in ("AGENT", "TEACH", "EMBED"))
KEYS = {"AGENT_KEY": AGENT, "TEACHER_KEY": TEACHER, "EMBEDDER_KEY": EMBEDDER}
PASSWORD = "Pw0rd4proxy"
PLANTED = [*(f"sk-{who}" for who in ("AGENT", "TEACH", "EMBED")), "x9=Zk", PASSWORD, "hdr-0pen1"]


def escaped(text: str) -> str:
    """A JSON text as PHP and .NET write it."""
    return text.replace("/", "\\/").replace("+", "\\u002B").replace("=", "\\u003d")


class EchoingServer(LoopbackServer):
    """An endpoint whose replies hold the headers of the request."""

    def __init__(self, reply: str) -> None:
        super().__init__()
        self.reply = reply
        self.heard: set[str] = set()

    async def respond(self, request: HttpRequest) -> HttpReply:
        """Answer with what the request was authorised by."""
        said = request.headers["authorization"]
        self.heard.add(said.removeprefix("Bearer "))
        error = {"error": {"message": f"no such key: {said}", "headers": {said: [said]}}}
        match self.reply:
            case "refusal":
                return HttpReply(401, error)
            case "escaped refusal":
                return HttpReply(400, escaped(json.dumps(error)).encode())
            case "page":
                entity = said.replace("/", "&#x2F;").replace("+", "&#43;").replace("=", "&#61;")
                return HttpReply(500, f"<html>{said} {entity}</html>".encode())
            case "malformed":
                return HttpReply(200, escaped(f'{{"choices": [{{"message": "{said}').encode())
            case "long":
                return HttpReply(200, (" " * 180 + f'{{"choices": "{said}').encode())
            case "redirect":
                return HttpReply(302, {}, {"location": f"http://h/{'a' * 175}?{said}"})
            case _:
                whole: dict[str, Any] = completion(Message(role="assistant", content=said))
                whole["model"] = whole["system_fingerprint"] = said
                return HttpReply(200, escaped(json.dumps(whole)).encode())


REPLIES = ["refusal", "escaped refusal", "page", "malformed", "long", "redirect", "success"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arenas, tools, a question and judged conversations, made without a model."""
    folder = tmp_path_factory.mktemp("inputs")
    make = ["--tables", str(ROOT / "examples/world"), "--count", "1", "--max-hops", "1"]
    assert run(["arenas", "make", *make, "--out", str(folder / "arenas")]) == 0
    tools = RunFolder.create(folder / "tools", {"made": "by a test"})
    with tools.lock():
        tools.replace("servers.jsonl", [to_line(calendar())])
    make = ["--tools", str(tools.path), "--out", str(folder / "made"), "--teacher", "rules"]
    assert run(["trajectories", "make", *make, "--model", "scripted", "--count", "1"]) == 0
    (folder / "questions.jsonl").write_text('{"question": "What is it?", "domain": "things"}\n')
    return folder


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "hdr-0pen1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Other: hdr-0pen1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", f"http://ann:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setitem(
        OpenAIModel.__init__.__kwdefaults__, "retries", Retries(attempts=2, first_wait=0.01)
    )
    monkeypatch.setitem(OpenAIEmbedder.__init__.__kwdefaults__, "retries", 0)


def nothing_in(texts: dict[str, str]) -> None:
    found = {name: word for name, text in texts.items() for word in PLANTED if word in text}
    assert not found


def files(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): f"{path} {path.read_bytes().decode('latin-1')}" for path in paths}


AGENT_AT = ["--base-url", "URL", "--api-key-env", "AGENT_KEY"]
TEACHER_AT = ["--teacher", "m", "--teacher-url", "URL", "--teacher-key-env", "TEACHER_KEY"]
COMMANDS = {
    "evaluate arenas": (["IN/arenas", "--split", "all", "--model", "m", *AGENT_AT], AGENT),
    "arenas synthesize": (["--questions", "IN/questions.jsonl", *TEACHER_AT], TEACHER),
    "arenas paraphrase": (["IN/arenas", *TEACHER_AT], TEACHER),
    "trajectories make": (
        ["--tools", "IN/tools", "--count", "1", "--teacher", "rules", "--model", "m", *AGENT_AT],
        AGENT,
    ),
    "trajectories judge": (["OUT", *TEACHER_AT], TEACHER),
    "teacher check": (["--teacher", "m", *TEACHER_AT[2:]], TEACHER),
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_an_endpoint_echoes_is_kept_nowhere(
    command: str,
    reply: str,
    inputs: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    words, key = COMMANDS[command]
    out = tmp_path / "out"
    if "OUT" in words:
        shutil.copytree(inputs / "made", out)
    elif command != "teacher check":
        words = [*words, "--out", str(out)]
    with EchoingServer(reply) as server:
        places = {"URL": f"{server.url}/v1", "OUT": str(out)}
        words = [places.get(w, w.replace("IN/", f"{inputs}/")) for w in words]
        run([*command.split(), *words, "--debug"])
    assert server.heard == {key}, "the endpoint got the key and no other"
    said = capfd.readouterr()
    nothing_in({"stdout": said.out, "stderr": said.err, "log": caplog.text, **files(tmp_path)})


@pytest.mark.parametrize("reply", REPLIES)
def test_what_an_endpoint_of_embeddings_echoes_is_not_told(reply: str) -> None:
    with EchoingServer(reply) as server, pytest.raises(AstraError) as raised:
        asyncio.run(OpenAIEmbedder("m", f"{server.url}/v1", EMBEDDER).embed(["x"]))
    assert server.heard == {EMBEDDER}
    nothing_in({"error": str(raised.value)})


@pytest.mark.parametrize("kind", ["sft", "rl"])
def test_training_and_its_plots_keep_no_key(
    kind: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither what the environment holds, nor a token that is meant for the trainer."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HF_TOKEN", AGENT)
    inputs, out = tmp_path / "inputs", tmp_path / "out"
    inputs.mkdir()
    if kind == "sft":
        rows, model = tiny(inputs, 4)
        words = ["--dataset", str(rows), "--epochs", "1"]
    else:
        model = taught(inputs / "model", steps=1)
        words = ["--arenas", str(world(inputs / "arenas")), "--max-sampling-rounds", "1"]
        words += ["--max-turns", "2", "--max-tokens", "8", "--max-steps", "2"]
    words += ["--model", str(model), "--preset", "nano", "--batch-size", "2", "--save-every", "1"]
    words += ["--trl", "logging_steps=1", "--out", str(out), "--debug"]
    # The trainer would write it into each checkpoint.
    assert run(["train", kind, *words, "--trl", f"hub_token={AGENT}"]) == 2
    assert run(["train", kind, *words]) == 0
    assert run(["plot", str(out), "--out", str(tmp_path / "plots"), "--debug"]) == 0
    said = capfd.readouterr()
    written = files(tmp_path)
    assert any("checkpoint-1/" in name for name in written)
    assert (tmp_path / "plots" / "loss.png").exists()
    nothing_in({"stdout": said.out, "stderr": said.err, "log": caplog.text, **written})


# --- keys, proxies and headers that can't be used ---------------------------------------------


@pytest.mark.parametrize("key", [f"{AGENT}\n", f"{AGENT}\r\n", f" {AGENT}"])
def test_a_key_from_a_file_of_variables_is_taken_without_its_line_break(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_KEY", key)
    assert api_key("AGENT_KEY") == AGENT
    monkeypatch.setenv("AGENT_KEY", " \n")
    with pytest.raises(ConfigError, match="no environment variable"):
        api_key("AGENT_KEY")


def asked(url: str, key: str) -> list[str]:
    """What a chat model and an embedder say about an endpoint that can't be asked."""

    async def ask() -> list[str]:
        errors: list[str] = []
        try:
            await OpenAIModel("m", url, key).generate(
                [Message(role="user", content="x")], (), Sampling()
            )
        except AstraError as error:
            errors.append(str(error))
        try:
            await OpenAIEmbedder("m", url, key).embed(["x"])
        except AstraError as error:
            errors.append(str(error))
        return errors

    return asyncio.run(ask())


@pytest.mark.parametrize("wrong", [f"{AGENT}\nX-Other: 1", f"{AGENT}\n", f"{AGENT}é", f"\0{AGENT}"])
def test_a_key_that_no_header_can_carry_is_refused_unshown(wrong: str) -> None:
    with EchoingServer("success") as server:
        errors = asked(server.url, wrong)
    assert [error.startswith("the API key holds") for error in errors] == [True, True]
    nothing_in(dict(enumerate(errors)))  # pyright: ignore[reportArgumentType]
    assert not server.heard


@pytest.mark.parametrize(
    "proxy",
    [
        f"http://ann:{PASSWORD}#1@127.0.0.1:9",
        f"http://ann:{PASSWORD}/1@127.0.0.1:9",
        f"foo://ann:{PASSWORD}@127.0.0.1:9",
        f"http://ann:{PASSWORD}\n@127.0.0.1:9",
    ],
)
def test_an_unusable_proxy_is_told_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    errors = asked("http://127.0.0.1:9/v1", AGENT)
    assert [error.startswith("a proxy of the environment") for error in errors] == [True, True]
    nothing_in(dict(enumerate(errors)))  # pyright: ignore[reportArgumentType]


def test_a_mask_hides_the_key_and_nothing_else() -> None:
    mask = KeyMask("a/b+c=d-e")
    for text in (
        "a/b+c=d-e",
        "a\\/b\\u002Bc\\u003dd-e",
        "a%2fb%2Bc%3Dd-e",
        "a&#x2F;b&#43;c&#61;d-e",
    ):
        assert mask.text(f"<{text}>") == "<***>"
    assert mask.value({"a/b+c=d-e": ["a/b+c=d-e", 1, None]}) == {"***": ["***", 1, None]}
    assert mask.text("a/b+c=d-") == "a/b+c=d-"
    for mask in (KeyMask(None), KeyMask(""), KeyMask("EMPTY", shortest=8)):
        assert mask.value({"EMPTY": "EMPTY"}) == {"EMPTY": "EMPTY"}


# --- entries of mcpServers files --------------------------------------------------------------

TOKEN = "sk-AGENT-0123456789"


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "x", "args": ["serve", TOKEN]},
        {"command": "x", "args": [f"--api={TOKEN}"]},
        {"command": "x", "args": ["--token", TOKEN]},
        {"command": "x", "env": {"DB_PASS": TOKEN[:9]}},
        {"command": "x", "env": {"MYSQL_PWD": TOKEN[:9]}},
        {"command": "x", "env": {"GITHUB_PAT": TOKEN[:9]}},
        {"command": "x", "env": {"DB": f"postgresql://ann:{TOKEN}@h/d"}},
        {"url": f"http://h/mcp/s/{TOKEN}/mcp"},
        {"url": f"http://{TOKEN}@h/mcp"},
        {"url": f"http://ann:{TOKEN.replace('-', '%2D')}@h/mcp"},
        {"url": "http://h/mcp", "headers": {"X-Api": f"Bearer {TOKEN}", "X-Auth": TOKEN}},
    ],
)
def test_what_a_server_says_is_without_the_keys_of_its_entry(entry: dict[str, Any]) -> None:
    shown = parse_entry("far", entry).hide({"text": f"I got {TOKEN}/+=", TOKEN: [f"{TOKEN}/+="]})
    nothing_in({"shown": str(shown)})
    assert HIDDEN in str(shown)


def test_a_key_with_slashes_is_hidden_under_any_name() -> None:
    entry = parse_entry("far", {"command": "x", "env": {"VALUE": AGENT + "="}})
    assert entry.hide(f"got {AGENT}=") == f"got {HIDDEN}"


def test_ordinary_words_of_an_entry_are_not_hidden() -> None:
    words = ["@scope/server-files", "/data/2024/01/files", "--read-only", "mcp-server-files"]
    entry = parse_entry("near", {"command": "npx", "args": words, "env": {"HOME": "/home/ann1"}})
    assert entry.hide(words) == words
    far = parse_entry("far", {"url": "https://example.com/services/weather/mcp"})
    assert far.hide("services weather mcp") == "services weather mcp"


@pytest.mark.parametrize(
    "entry",
    [
        {"headers": {"Authorization": f"Bearer {TOKEN}\n"}},
        {"headers": {"Authorization": f"{TOKEN}é"}},
        {"headers": {f"Authorization: Bearer {TOKEN}": ""}},
        {"url": f"http://ann:{TOKEN}/x@127.0.0.1:9/mcp"},
        {"url": f"http://127.0.0.1:{TOKEN}/mcp"},
        {"url": f"http://{TOKEN}\n@127.0.0.1:9/mcp"},
    ],
)
async def test_an_entry_that_can_not_be_sent_is_refused_unshown(entry: dict[str, Any]) -> None:
    with pytest.raises(AstraError) as raised:
        async with LiveHost(parse_entry("far", {"url": "http://127.0.0.1:9/mcp", **entry}), []):
            pass
    nothing_in({"error": str(raised.value)})


@pytest.mark.parametrize("fault", ["dies_at_start", "refuses_list", "none"])
def test_collecting_keeps_no_value_of_an_entry(
    fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = value("mcp_hostile", fault, "--token", TOKEN, f"postgres://ann:{PASSWORD}@h/d")
    entry["env"] |= {"API_KEY": TOKEN, "OTHER": "hdr-0pen1-0123456"}
    far = {"url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": TOKEN}}
    file = mcp_file(tmp_path / "mcp.json", near=entry, far=far)
    out = tmp_path / "run"
    run(["tools", "collect", str(file), "--out", str(out), "--no-confine-servers", "--debug"])
    assert run(["tools", "show", str(out)]) == 0
    said = capfd.readouterr()
    nothing_in({"stdout": said.out, "stderr": said.err, **files(out)})


# --- addresses of databases -------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://ann:{PASSWORD}@h/d",
        f"postgresql://h/d?password={PASSWORD}",
        f"mysql://ann:x@{PASSWORD}@h/d",
        f"postgresql+psycopg2://ann:{PASSWORD}@h/d",
        f"sqlserver://ann:{PASSWORD}@h/d",
        f"postgresql:ann:{PASSWORD}@h/d",
        f"host=h password={PASSWORD}",
        f"postgresql://ann:{PASSWORD}@[h/d",
        f"sqlite:///ann:{PASSWORD}@h",
        f"jdbc:postgresql://h/d?user=ann&password={PASSWORD}",
    ],
)
def test_the_password_of_a_database_is_kept_nowhere(
    address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert run(["arenas", "make", "--tables", address, "--count", "1", *out]) == 2
    said = capfd.readouterr()
    nothing_in({"stdout": said.out, "stderr": said.err, **files(tmp_path)})

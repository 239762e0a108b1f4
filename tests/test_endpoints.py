"""What goes to an endpoint, and where: nothing of another account, nothing to another address."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import openai
import pytest

from astra.configs.base import Config, options
from astra.configs.teacher import CheckTeacherConfig
from astra.errors import AstraError, ConfigError
from astra.hosts.live import LiveHost
from astra.hosts.mcp_entries import parse_entry
from astra.models.embed_openai import OpenAIEmbedder
from astra.models.openai import OpenAIModel, Retries
from astra.protocols import Sampling
from astra.sandbox import RemoteSandbox
from astra.teacher.check import check_teacher
from astra.testing.http_server import HttpReply, HttpRequest, LoopbackServer
from astra.testing.sandbox_suite import one
from astra.types import Message
from tests.support.model_server import completion

KEY = "sk-PLANTED-KEY-0123456789"
BODY = "PLANTED QUESTION"
PLANTED = "planted-in-the-environment"


class RecordingServer(LoopbackServer):
    """Answers every request alike, and keeps what came."""

    def __init__(self, reply: HttpReply) -> None:
        super().__init__()
        self.reply = reply
        self.seen: list[HttpRequest] = []

    async def respond(self, request: HttpRequest) -> HttpReply:
        self.seen.append(request)
        return self.reply


async def ask_agent(url: str) -> object:
    async with OpenAIModel("m", url, KEY, retries=Retries(attempts=1)) as model:
        return await model.generate([Message(role="user", content=BODY)], (), Sampling())


async def ask_teacher(url: str) -> object:
    config = CheckTeacherConfig(teacher="m", teacher_url=url, teacher_key_env="PLANTED_KEY")
    report = await check_teacher(config)
    raise ConfigError(report.model_dump_json())


async def ask_embedder(url: str) -> object:
    return await OpenAIEmbedder("m", url, KEY, retries=0).embed([BODY])


async def ask_sandbox(url: str) -> object:
    async with RemoteSandbox(url) as sandbox:
        return await one(sandbox, f"def f():\n    return {BODY!r}")


async def ask_mcp_server(url: str) -> object:
    at = parse_entry("far", {"url": url, "headers": {"Authorization": f"Bearer {KEY}"}})
    async with LiveHost(at, []):
        return None


Ask = Callable[[str], Awaitable[object]]
CLIENTS: dict[str, Ask] = {
    "agent": ask_agent,
    "teacher": ask_teacher,
    "embedder": ask_embedder,
    "sandbox": ask_sandbox,
    "mcp": ask_mcp_server,
}
GOOD = HttpReply(200, completion(Message(role="assistant", content="hello")))


# --- redirects --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", CLIENTS)
async def test_a_redirect_is_not_followed(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    with RecordingServer(GOOD) as other:
        target = f"{other.url}/latest/meta-data"
        with (
            RecordingServer(HttpReply(status, {}, {"location": target})) as server,
            pytest.raises(AstraError) as raised,
        ):
            await CLIENTS[name](server.url)
        assert server.seen, "the endpoint that was given is asked"
        assert other.seen == []
    assert KEY not in str(raised.value)
    if name != "mcp":  # its SDK says no more than the status
        assert target in str(raised.value) and "redirects to" in str(raised.value)


@pytest.mark.parametrize("name", ["agent", "embedder", "sandbox"])
async def test_the_other_server_would_have_seen_the_body(name: str) -> None:
    """A positive control: asked directly, the recording server sees what a redirect would leak."""
    with RecordingServer(GOOD) as other:
        with suppress(AstraError):  # the reply is that of a chat model
            await CLIENTS[name](other.url)
        assert BODY in other.seen[0].body.decode()


async def test_a_redirect_whose_target_quotes_the_key_shows_it_not() -> None:
    reply = HttpReply(308, {}, {"location": f"https://example.com/?key={KEY}"})
    with RecordingServer(reply) as server:
        for ask in (ask_agent, ask_embedder):
            with pytest.raises(AstraError, match="redirects to") as raised:
                await ask(server.url)
            assert KEY not in str(raised.value)


# --- the environment --------------------------------------------------------------------------


def variables_of_the_sdk() -> set[str]:
    """Every OPENAI_ variable that the installed SDK mentions."""
    folder = Path(openai.__file__).parent
    texts = (path.read_text("utf-8") for path in folder.rglob("*.py"))
    return {name for text in texts for name in re.findall(r"\bOPENAI_[A-Z_]+[A-Z]\b", text)}


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("name", ["agent", "embedder"])
async def test_nothing_of_the_environment_is_sent(
    name: str, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = variables_of_the_sdk()
    assert {"OPENAI_CUSTOM_HEADERS", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"} <= names
    for variable in names - {"OPENAI_LOG"}:
        monkeypatch.setenv(variable, f"{PLANTED}-{variable.lower()}")
    lines = ("X-Secret", "Authorization", "User-Agent", "OpenAI-Organization", "Host", "api-key")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "\n".join(f"{n}: {PLANTED}" for n in lines))
    monkeypatch.setattr(f"{__name__}.KEY", key)
    with RecordingServer(GOOD) as server:
        with suppress(AstraError):  # of an embedder: the reply is that of a chat model
            await CLIENTS[name](server.url)
        (request,) = server.seen
    assert PLANTED not in str(request)
    assert request.headers["authorization"] == f"Bearer {key or 'none'}"


async def test_the_sdk_alone_would_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A positive control: the variables are read, and the server sees them."""
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Secret: {PLANTED}")
    with RecordingServer(GOOD) as server:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=server.url) as client:
            await client.chat.completions.create(model="m", messages=[])
        assert server.seen[0].headers["x-secret"] == PLANTED


# --- addresses and names of variables that hold a secret --------------------------------------

SECRET_ADDRESSES = [
    f"http://user:{KEY}@host/v1",
    f"http://{KEY}@host/v1",
    f"http://user:p@{KEY}@host/v1",
    f"http://host/v1?api-key={KEY}",
    f"http://host/v1#{KEY}",
    f"http://user:{KEY}@host:notaport/v1",
    f"ftp://user:{KEY}@host/v1",
]


def option_classes() -> list[type[Config]]:
    found: list[type[Config]] = []
    pending = [Config]
    while pending:
        for cls in pending.pop().__subclasses__():
            found.append(cls)
            pending.append(cls)
    return found


def test_every_address_and_variable_of_an_option_is_marked() -> None:
    """Also of options that are added later: by their names."""
    import astra.api  # noqa: F401 - loads all option classes

    marked = {"url": "address", "key_env": "variable"}
    declared = [option for cls in option_classes() for option in options(cls)]
    assert {"teacher_url", "base_url", "embedding_url", "sandbox_url"} <= {
        o.field for o in declared
    }
    for option in declared:
        for ending, kind in marked.items():
            if option.field.endswith(ending):
                assert option.kind == kind, option.field


@pytest.mark.parametrize("url", SECRET_ADDRESSES)
def test_an_address_with_a_secret_is_refused_and_not_shown(url: str) -> None:
    for make in (
        lambda: CheckTeacherConfig(teacher="m", teacher_url=url),
        lambda: OpenAIModel("m", url),
        lambda: RemoteSandbox(url),
    ):
        with pytest.raises(ConfigError) as raised:
            make()
        assert KEY not in str(raised.value)


@pytest.mark.parametrize("url", SECRET_ADDRESSES)
async def test_an_embedder_refuses_it_too(url: str) -> None:
    with pytest.raises(AstraError) as raised:
        await OpenAIEmbedder("m", url).embed(["x"])
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("name", [KEY, f"Bearer {KEY}", "a" * 65, ""])
def test_a_key_in_place_of_its_variables_name_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(ConfigError, match="environment variable") as raised:
        CheckTeacherConfig(teacher="m", teacher_url="http://h/v1", teacher_key_env=name)
    assert not name or name not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://host", "https://host/v1", "http://[::1]:8000/v1", "http://127.0.0.1:1/v1/"]
)
def test_ordinary_addresses_are_taken(url: str) -> None:
    config = CheckTeacherConfig(teacher="m", teacher_url=url, teacher_key_env="MY_KEY_2")
    assert config.teacher_url == url

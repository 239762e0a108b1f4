"""Arenas for OpenEnv and NeMo Gym: manifests, rows, what is refused; and OpenEnv's own programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.errors import ConfigError, StoreError
from astra.exports.nemo_gym import NEMO_GYM
from astra.exports.openenv import OPENENV
from astra.exports.publish import publish
from astra.exports.published import PublishedArenas
from tests.support.hidden_values import hidden_values, shown_text

PACKAGES = ["openenv==0.10.0"]


@pytest.fixture(scope="module")
def openenv(arenas: ArenaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(arenas, tmp_path_factory.mktemp("openenv") / "out", "openenv", OPENENV).path


def test_the_manifest_states_what_was_certified(arenas: ArenaSet, openenv: Path) -> None:
    manifest = json.loads((openenv / "openenv.yaml").read_text())
    validation = manifest["validation"]
    assert validation["reward"] == {
        "range": [0.0, 1.0],
        "oracle_tolerance": 0.0,
        "floor_margin": 1.0,
    }
    assert (openenv / validation["capabilities"]["oracle"]["location"]).is_file()
    assert sum(validation["capabilities"]["declared_task_count"].values()) == len(arenas)
    certificates = manifest["certificates"]
    assert certificates["certified"] == len(arenas)
    assert certificates["checks_passed"]["gold"] == len(arenas)


def test_nothing_is_stated_without_certificates(arenas: ArenaSet, tmp_path: Path) -> None:
    bare = ArenaSet.of(list(arenas)[:1])
    with pytest.raises(ConfigError, match="no good certificate"):
        publish(bare, tmp_path / "out", "openenv", OPENENV, uncertified=True)


def test_a_changed_manifest_is_refused(openenv: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(openenv, tmp_path / "copy")
    PublishedArenas(copy)
    text = (copy / "openenv.yaml").read_text()
    (copy / "openenv.yaml").write_text(text.replace('"floor_margin": 1.0', '"floor_margin": 0.2'))
    with pytest.raises(StoreError, match="was changed"):
        PublishedArenas(copy)


def test_rows_of_nemo_gym_hold_the_id_alone(arenas: ArenaSet, tmp_path: Path) -> None:
    done = publish(arenas, tmp_path / "out", "nemo-gym", NEMO_GYM)
    talking = [arena for arena in arenas if arena.state is not None and arena.state.turns]
    assert talking and sum(each.count for each in done.left_out) == len(talking)
    lines = [
        line
        for path in sorted((done.path / "data").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    rows: list[Any] = [json.loads(line) for line in lines]
    assert len(rows) == done.arenas == len(arenas) - len(talking)
    for row in rows:
        assert set(row) == {"responses_create_params", "verifier_metadata"}
        assert set(row["verifier_metadata"]) == {"arena"}
        names = [tool["name"] for tool in row["responses_create_params"]["tools"]]
        assert names and all(isinstance(name, str) for name in names)


# --- its own programs, in an environment of their own ---------------------------------------------

_CLIENT = """
import asyncio, json, sys
from openenv.core.generic_client import GenericEnvClient
from astra.exports.published import PublishedArenas
from astra.hosts.arena import arena_messages
from astra.models.policies import policy
from astra.protocols import Sampling
from astra.types import Message
import arena_environment

published = PublishedArenas(".")
told = {"gold": [], "null": []}

async def served(arena, name):
    async with GenericEnvClient(base_url=sys.argv[1]) as env:
        result = await env.reset(arena=arena.id)
        seen = [vars(result)]
        total, model, messages = 0.0, policy(name, arena, 0), list(arena_messages(arena))
        while not result.done:
            message = (await model.generate(tuple(messages), (), Sampling())).message
            messages.append(message)
            for call in message.tool_calls:
                action = {"type": "call_tool", "tool_name": call.tool}
                result = await env.step({**action, "arguments": json.loads(call.arguments)})
                total += result.reward
                seen.append(vars(result))
                text = result.observation["result"]["content"][0]["text"]
                messages.append(Message(role="tool", content=text, tool_call_id=call.id))
            if not message.tool_calls:
                result = await env.step({"type": "message", "content": message.content})
                total += result.reward
                seen.append(vars(result))
                if not result.done:
                    messages.append(Message(role="user", content=result.observation["user"]))
        told[name].append([seen, str(await env.state())])
        return round(total, 9)

async def in_process(arena):
    session = arena_environment.ArenaSessionFactory().create(arena.id)
    model, messages = policy("gold", arena, 0), list(arena_messages(arena))
    while True:
        message = (await model.generate(tuple(messages), (), Sampling())).message
        messages.append(message)
        for call in message.tool_calls:
            data = session.call_tool(call.tool, json.loads(call.arguments)).data
            messages.append(Message(role="tool", content=data, tool_call_id=call.id))
        if not message.tool_calls:
            break
    last = {"role": "assistant", "content": messages[-1].content}
    reward = session.verify([last]).env_reward
    session.close()
    return reward

rewards = {}
for row in published.rows():
    arena = published[row["id"]]
    one = {name: asyncio.run(served(arena, name)) for name in ("gold", "null")}
    # A harness has no turns of a user.
    if arena.state is None or not arena.state.turns:
        one["in process"] = asyncio.run(in_process(arena))
    rewards[arena.id] = one
json.dump(rewards, open("rewards.json", "w"))
json.dump(told, open("told.json", "w"), default=str, ensure_ascii=False)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with OpenEnv, kept where ASTRA_INTEGRATIONS says, else made for this run."""
    kept = os.environ.get("ASTRA_INTEGRATIONS")
    folder = Path(kept) / "openenv" if kept else tmp_path_factory.mktemp("openenv-environment")
    interpreter = folder / "bin/python"
    if not interpreter.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    root = Path(__file__).parents[2]
    subprocess.run([interpreter, "-m", "pip", "install", "-q", *PACKAGES, str(root)], check=True)
    return interpreter


@pytest.mark.integrations
def test_openenv_serves_validates_and_plays_them(
    python: Path, openenv: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(openenv, tmp_path / "out")
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [python.parent / command[0], *command[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    told = run("openenv", "validate", ".", "--level", "static", "--output", "validation.json")
    report = json.loads((folder / "validation.json").read_text())
    assert report["verdict"].lower() == "pass", told
    served = [python, "-m", "uvicorn", "server.app:app", "--port", "8765", "--log-level", "error"]
    server = subprocess.Popen(served, cwd=folder, env=environment)
    try:
        wait = "import time, urllib.request as u\nfor _ in range(100):\n try:\n  u.urlopen("
        wait += "'http://127.0.0.1:8765/health'); break\n except OSError: time.sleep(0.3)"
        run("python", "-c", wait)
        told = run("python", "-c", _CLIENT, "http://127.0.0.1:8765")
    finally:
        server.terminate()
        server.wait(30)
    rewards = json.loads((folder / "rewards.json").read_text())
    assert len(rewards) == len(PublishedArenas(openenv)), told
    for one in rewards.values():
        assert one["null"] == 0.0 and {one["gold"], one.get("in process", 1.0)} == {1.0}
    # What clients are told (metadata, steps, states): nothing hidden, unless it was found out.
    told_of = json.loads((folder / "told.json").read_text("utf-8"))
    some = list(PublishedArenas(openenv).arenas)
    shown = "".join(map(shown_text, some))
    hidden = {value for arena in some for value in hidden_values(arena) if value not in shown}
    text, found = (json.dumps(told_of[name], ensure_ascii=False) for name in ("null", "gold"))
    assert len(told_of["null"]) == len(some)
    assert not [value for value in hidden if value in text]
    assert [value for value in hidden if value in found]
    # Their validation refuses what ours does, too: a manifest that promises less than it must.
    text = (folder / "openenv.yaml").read_text().replace('"floor_margin": 1.0', '"floor_margin": 0')
    (folder / "openenv.yaml").write_text(text)
    run("openenv", "validate", ".", "--level", "static", "--output", "tampered.json")
    assert json.loads((folder / "tampered.json").read_text())["verdict"].lower() == "fail"

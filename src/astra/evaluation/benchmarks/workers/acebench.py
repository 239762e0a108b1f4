"""Plays the agent tasks of ACEBench by the code of a checkout: its loop, APIs and checkers.

    python -P acebench.py      in any Python; see `episode_server.py`

The official inference for local models runs the conversation, and asks a model for text; that
model is replaced. With tools shown natively, calls become the text that the official code reads,
and its results become tool messages. It passes that text to `eval`: here a call is parsed, its
arguments must be literals, and the method is looked up by name.
"""

import ast
import importlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parent))

from acebench_gold import gold_calls  # pyright: ignore[reportMissingImports]
from calls import evaluate_call  # pyright: ignore[reportMissingImports]
from episode_server import Ask, Play, digests, serve  # pyright: ignore[reportMissingImports]
from stubs import Stubs, empty_class  # pyright: ignore[reportMissingImports]

MAX_MESSAGES = 40
"""Official default of what is said after the question, results of calls included."""
END = "finish conversation"
STUBBED = (
    *("dotenv", "openai", "openpyxl", "openpyxl.", "pandas", "tqdm", "wcwidth"),
    "model_inference.model_infer",
)
"""What the official modules import and nothing here calls."""
TYPES = {"dict": "object", "list": "array", "float": "number", "int": "integer"}
"""Types of JSON Schema, by the names that the data use for them."""
FORMAT_HEADINGS = ("Function Calls:", "函数调用：")
"""What the official rules of a conversation say below is how calls are written as text."""
MULTI_STEP = {
    "en": (
        "You call functions to complete the user's task. If a task requires multiple steps, "
        "execute them step by step, and decide how to proceed based on the results. Generally "
        "call only one function at a time. "
    ),
    "zh": (
        "你需要调用函数来完成用户的任务。当任务需要多个步骤时，请一步步执行，"
        "并根据每一步返回的结果决定下一步如何执行。一般一次只调用一个函数。"
    ),
}
FINISH = {
    "en": f'When you believe the task is completed, reply "{END}" to end the dialogue.',
    "zh": f'当你认为任务已经完成，请回复"{END}"以结束对话。',
}


class _Progress:
    """Stands for a progress bar."""

    def __init__(self, **_: Any) -> None:
        pass

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, _: int) -> None:
        pass


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Play]:
    """Load the categories of the options from the checkout."""
    root = Path(options["data"])
    sys.path.insert(0, str(root))
    Stubs(STUBBED, empty_class).install()
    confine()
    native = bool(options["native"])
    tasks: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {}
    listed: list[dict[str, Any]] = []
    for category in options["categories"]:
        kind, language = category.rsplit("_", 1)
        folder = root / "data_all" / f"data_{language}"
        entries = _rows(folder / f"data_agent_{kind}.json")
        answers = _rows(folder / "possible_answer" / f"data_agent_{kind}.json")
        for entry, answer in zip(entries, answers, strict=True):
            assert entry["id"] == answer["id"]
            name = f"{language}_{entry['id'].removeprefix('agent_')}"
            tasks[name] = (kind, language, entry, answer)
            task: dict[str, Any] = {"id": name, "category": category}
            if options.get("gold"):
                task["gold"] = _gold(name, answer, native)
            listed.append(task)

    def play(request: dict[str, Any], ask: Ask) -> dict[str, Any]:
        return play_task(*tasks[request["task"]], ask, native, options["user"] == "model")

    files = [root / "eval_main.py", *(root / "data_all").rglob("data_agent_*.json")]
    files += [
        file for part in ("model_eval", "model_inference") for file in (root / part).rglob("*.py")
    ]
    return {"tasks": listed, "files": digests(root, files)}, play


def confine() -> None:
    """Load the official modules, and replace `eval` in those that run the calls of a model."""
    official("eval_main")
    official("model_inference.common_inference").tqdm = _Progress
    for kind in ("step", "turn"):
        utils = official(f"model_inference.multi_{kind}.multi_{kind}_utils")
        instances = vars(utils)
        utils.eval = lambda text, instances=instances: evaluate_call(text, instances)
    for module in (
        "model_inference.multi_step.execution_role_step",
        "model_inference.multi_turn.execution_role",
        "model_inference.multi_turn.common_agent",
    ):
        official(module).eval = calculate


def official(name: str) -> Any:
    """A module of the checkout."""
    return importlib.import_module(name)


def calculate(text: str) -> Any:
    """The value of an argument that is written as a sum: numbers, and `+`, `-`, `*`, `/`.

    Raises PermissionError for anything else.
    """

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float()):
                return node.value
            case ast.BinOp(op=ast.Add()):
                return value(node.left) + value(node.right)
            case ast.BinOp(op=ast.Sub()):
                return value(node.left) - value(node.right)
            case ast.BinOp(op=ast.Mult()):
                return value(node.left) * value(node.right)
            case ast.BinOp(op=ast.Div()):
                return value(node.left) / value(node.right)
            case _:
                raise PermissionError("arguments must be literals")

    return value(ast.parse(text, mode="eval").body)


def play_task(
    kind: str,
    language: str,
    entry: dict[str, Any],
    answer: dict[str, Any],
    ask: Ask,
    native: bool,
    user_model: bool,
) -> dict[str, Any]:
    """Run the official conversation and the official checker."""
    common = official("model_inference.common_inference")
    agent = (_NativeAgent if native else _TextAgent)(kind, language, entry, ask)

    def scene_of(scene: Any) -> Any:
        class Scene(scene):
            def __init__(self, **parts: Any) -> None:
                super().__init__(**parts)
                agent.history = self.dialogue_history

            def write_message_history(self, *_: Any) -> None:
                """No file is written."""

        return Scene

    common.Scene, common.Mulit_Step_Scene = map(scene_of, (common.Scene, common.Mulit_Step_Scene))
    common.APIUSER = user_class(common.APIUSER, entry["question"], ask, user_model)
    inference = object.__new__(common.CommonInference)
    inference.model_name, inference.model = "astra", agent
    inference.max_message_index, inference.language = MAX_MESSAGES, language
    inference.user_model = ""
    result, process = inference.inference(
        entry["question"], entry["function"], "", "", entry, entry["id"]
    )
    # The official pipeline reads results from a file: keys become text.
    episode = json.loads(json.dumps({"result": result, "process": process}))
    return check(language, f"agent_{kind}", entry, answer, episode)


def check(
    language: str,
    category: str,
    entry: dict[str, Any],
    answer: dict[str, Any],
    episode: dict[str, Any],
) -> dict[str, Any]:
    """The official verdict on one episode: 1 if the state at the end is right."""
    judge = official("eval_main")
    saved: list[dict[str, Any]] = []
    judge.language, judge.OUTPUT_PATH = language, ""
    judge.save_score_as_json = lambda _, rows, __: saved.extend(rows)
    judge.open = lambda *_, **__: io.StringIO()
    score, process = judge.agent_eval([episode], [entry], [answer], category, "astra")
    wrong: dict[str, Any] = saved[1] if len(saved) > 1 else {"error_type": "", "error": []}
    detail = {"process_accuracy": process, "errors": wrong["error"]}
    return {
        "score": float(score),
        "error": wrong["error_type"].replace(" ", "_"),
        "detail": json.dumps(detail, ensure_ascii=False)[:2000],
    }


# --- who speaks --------------------------------------------------------------------------------


class _TextAgent:
    """The model as the official code shows it the task: each time two messages, without tools."""

    def __init__(self, kind: str, language: str, entry: dict[str, Any], ask: Ask) -> None:
        self.history: list[dict[str, Any]] = []
        self._kind, self._language, self._entry, self._ask = kind, language, entry, ask

    def inference(self, system: str, prompt: str) -> str:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        return self._ask(messages, [], fresh=True)["content"]


class _NativeAgent(_TextAgent):
    """The model in a conversation with tools. The official prompts are not shown."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._tools = [_tool(function) for function in self._entry["function"]]
        self._called: list[str] = []
        self._shown = 0

    def inference(self, system: str, prompt: str) -> str:
        new = [] if self._shown else [{"role": "system", "content": self._rules()}]
        for said in self.history[self._shown :]:
            if said["sender"] == "agent":
                continue  # the model's own
            results = said["message"]
            if self._called:
                single = not isinstance(results, list) or len(results) != len(self._called)
                for index, call in enumerate(self._called):
                    result = results if single else results[index]
                    text = result if isinstance(result, str) else json.dumps(result, **_PLAIN)
                    new.append({"role": "tool", "tool_call_id": call, "content": text})
                self._called = []
            else:
                new.append({"role": "user", "content": str(results)})
        self._shown = len(self.history)
        reply = self._ask(new, self._tools)
        if not reply["tool_calls"]:
            return reply["content"]
        self._called = [call["id"] for call in reply["tool_calls"]]
        return f"[{', '.join(map(_written, reply['tool_calls']))}]"

    def _rules(self) -> str:
        if self._kind == "multi_step":
            return MULTI_STEP[self._language] + FINISH[self._language]
        prompts = official(f"model_inference.prompt_{self._language}")
        rules = "".join(
            getattr(prompts, f"{name}_PROMPT_{self._language.upper()}")
            for name, part in (("TRAVEL", "Travel"), ("BASE", "BaseApi"))
            if part in self._entry["involved_classes"]
        )
        for heading in FORMAT_HEADINGS:
            rules = rules.partition(heading)[0]
        return rules + FINISH[self._language]


_PLAIN: Any = {"ensure_ascii": False}


def _written(call: dict[str, Any]) -> str:
    """A call as the official code reads it."""
    try:
        arguments = json.loads(call["arguments"] or "{}")
        pairs = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    except (ValueError, AttributeError):
        pairs = call["arguments"]  # not read: the official code says so
    return f"{call['name']}({pairs})"


def user_class(official: Any, question: str, ask: Ask, user_model: bool) -> Any:
    """The official user, whose messages a model writes, or a script: all it wants at once, then the
    end."""

    def create(messages: list[dict[str, Any]], **_: Any) -> Any:
        # The official code keeps the user's own messages as those of a second system.
        own = ("user" if entry["role"] == "user" else "assistant" for entry in messages[1:])
        shown = [
            messages[0],
            *({**entry, "role": role} for entry, role in zip(messages[1:], own, strict=True)),
        ]
        if user_model:
            content = ask(shown, [], "user")["content"]
        else:
            content = END if any(entry["role"] == "assistant" for entry in shown) else question
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content=content))])

    class User(official):
        def __init__(self, involved_class: Sequence[str], language: str, **_: Any) -> None:
            self.involved_class, self.language, self.messages = involved_class, language, []
            self.model_name, self.temperature, self.top_p, self.max_tokens = "", None, None, None
            completions = SimpleNamespace(create=create)
            self.client = SimpleNamespace(chat=SimpleNamespace(completions=completions))

    return User


def _gold(name: str, answer: dict[str, Any], native: bool) -> list[dict[str, Any]]:
    steps = gold_calls(name, answer["mile_stone"])
    said: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        calls = [
            {"id": f"call_{number}_{index}", "name": call, "arguments": json.dumps(arguments)}
            for index, (call, arguments) in enumerate(step)
        ]
        text = "" if native else f"[{', '.join(map(_written, calls))}]"
        said.append({"content": text, "tool_calls": calls if native else []})
    return [*said, {"content": END, "tool_calls": []}]


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {**function, "parameters": _schema(function)}}


def _schema(function: dict[str, Any]) -> dict[str, Any]:
    def read(value: Any) -> Any:
        if isinstance(value, list):
            return [read(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("type")
        named = {"type": TYPES.get(kind, kind)} if isinstance(kind, str) else {}
        return {key: read(item) for key, item in value.items()} | named

    return read(function["parameters"])


def _rows(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8") as opened:
        return [json.loads(line) for line in opened if line.strip()]


if __name__ == "__main__":
    serve(load)

"""Plays BFCL by its own code: the official loop, tools and checkers, without `eval`.

    python -P bfcl.py          in an environment with bfcl-eval; see `episode_server.py`

The official handler builds the prompts and runs the turns; only its request to the model is
replaced. Tool calls of a model are text that the official code passes to `eval`, so that the name
of a tool, or the name of an argument, can run anything. Here a call is parsed, its arguments must
be literals, and the method is looked up by name. What is printed for gold episodes and for wrong
calls is the same (a test compares them).
"""

import ast
import importlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

sys.path.append(str(Path(__file__).parent))

from calls import evaluate_call, literal  # pyright: ignore[reportMissingImports]
from episode_server import (  # pyright: ignore[reportMissingImports]
    Ask,
    Play,
    digests,
    loaded_apart,
    serve,
)
from stubs import Stubs, unchanged  # pyright: ignore[reportMissingImports]

MODEL = "astra"
"""The name under which the official code keeps instances of tools: without a dash or a dot."""
MULTI_TURN = ("base", "miss_func", "miss_param", "long_context")
STUBBED = (
    *("dotenv", "numpy", "openai", "overrides", "pandas", "tenacity", "tqdm"),
    *(f"bfcl_eval.model_handler.parser.{language}_parser" for language in ("java", "js")),
)
"""What the official modules import and nothing here calls."""


def load(options: dict[str, Any]) -> tuple[bytes, Play]:
    """Load the categories of the options."""
    if options.get("confined", True):
        confine()
    # All that an episode imports, once, before the first fork.
    official("utils")
    official("eval_checker.eval_runner")
    handler_class()
    if any("multi_turn" in category for category in options["categories"]):
        for module in _tool_modules().values():
            # Those of memory and web search, which are not played, need other packages.
            with suppress(ImportError):
                importlib.import_module(module)
    header, rows = loaded_apart(lambda: read(options))

    def play(request: dict[str, Any], ask: Ask) -> dict[str, Any]:
        entry, bare, answer = rows(request["task"])
        return play_task(entry, bare, answer, ask)

    return header, play


def read(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first line, and what the loop and the checker need of each task."""
    utils = official("utils")
    tasks: dict[str, tuple[dict[str, Any], Any, Any]] = {}
    listed: list[dict[str, Any]] = []
    for category in options["categories"]:
        entries = plain = utils.load_dataset_entry(category)
        if "java" in category:  # the prompt has a hint that the checker must not see
            plain = utils.load_dataset_entry(category, include_language_specific_hint=False)
        truths = [{"ground_truth": []}] * len(entries)
        if "relevance" not in category:
            truths = utils.load_ground_truth_entry(category)
        for entry, bare, truth in zip(entries, plain, truths, strict=True):
            answer = truth["ground_truth"]
            tasks[entry["id"]] = (entry, bare, answer)
            task: dict[str, Any] = {"id": entry["id"], "category": category}
            if options.get("gold"):
                task["gold"] = gold(category, bare, answer)
            listed.append(task)
    root = Path(utils.__file__).parent
    files = sorted((root / "data").rglob("*.json*"))
    return {"tasks": listed, "files": digests(root, files)}, tasks


def forget(request: dict[str, Any]) -> bool:
    """Delete the tools of an episode, which the official code keeps as globals.

    It plays all tasks in one process, too, where those of the same task and name meet. Tools of
    long contexts hand out parts of their modules, so that nothing is known of them. A process that
    is not confined is there to be compared with, and plays one episode.
    """
    instances = vars(official("eval_checker.multi_turn_eval.multi_turn_utils"))
    for name in [name for name in instances if name.endswith("_instance")]:
        del instances[name]
    return "eval" in instances and "long_context" not in request["task"]


def play_task(entry: dict[str, Any], bare: dict[str, Any], answer: Any, ask: Ask) -> dict[str, Any]:
    """Run the official loop and the official checker."""
    handler = handler_class()(ask)
    category = entry["id"].rsplit("_", 1)[0]
    runner, enums = official("eval_checker.eval_runner"), official("constants.enums")
    result, _ = handler.inference(entry, False, True)
    if "multi_turn" in category:
        verdict = runner._evaluate_single_multi_turn_entry(
            handler, entry["id"], result, answer, bare, MODEL, category
        )
    elif "relevance" in category:
        verdict = runner._evaluate_single_relevance_entry(
            handler, entry["id"], result, bare, MODEL, category
        )
    else:
        language = "JAVASCRIPT" if "javascript" in category else "JAVA"
        language = language if "java" in category else "PYTHON"
        verdict = runner._evaluate_single_ast_entry(
            *(handler, entry["id"], result, answer, bare, MODEL, category),
            *(enums.Language[language], enums.ReturnFormat[language]),
        )
    error = verdict.get("error") or {}
    if not isinstance(error, dict):
        error = {"error_type": verdict.get("error_type", ""), "error_message": error}
    told = error.get("error_message", "")
    return {
        "score": float(verdict["valid"]),
        "error": str(error.get("error_type", "")),
        "detail": (told if isinstance(told, str) else "; ".join(map(str, told)))[:2000],
    }


# --- the official package ----------------------------------------------------------------------


def official(name: str) -> Any:
    """A module of the official package."""
    if not any(isinstance(finder, Stubs) for finder in sys.meta_path):
        Stubs(STUBBED, lambda _: unchanged).install()
        models: Any = ModuleType("bfcl_eval.constants.model_config")
        # As for OpenAI's models: a dot in the name of a tool is sent as an underscore.
        models.MODEL_CONFIG_MAPPING = {MODEL: SimpleNamespace(underscore_to_dot=True)}
        sys.modules[models.__name__] = models
    return importlib.import_module(f"bfcl_eval.{name}")


def handler_class() -> Any:
    """The official handler of OpenAI's models, which asks `ask` in place of an endpoint."""
    completion = official("model_handler.api_inference.openai_completion")
    base, enums = official("model_handler.base_handler"), official("constants.enums")

    class Handler(completion.OpenAICompletionsHandler):
        def __init__(self, ask: Ask) -> None:
            base.BaseHandler.__init__(self, MODEL, 0, MODEL, True)
            self.model_style = enums.ModelStyle.OPENAI_COMPLETIONS
            self._ask, self._sent = ask, 0

        def _query_FC(self, inference_data: dict[str, Any]) -> tuple[Any, float]:
            messages = inference_data["message"]
            reply = self._ask(messages[self._sent :], inference_data["tools"])
            self._sent = len(messages) + 1  # the handler appends the reply
            return _completion(reply), 0.0

    return Handler


def _completion(reply: dict[str, Any]) -> Any:
    """A reply as the client library of OpenAI gives it."""
    calls = [
        SimpleNamespace(
            id=call["id"],
            type="function",
            function=SimpleNamespace(name=call["name"], arguments=call["arguments"]),
        )
        for call in reply["tool_calls"]
    ]
    message = SimpleNamespace(role="assistant", content=reply["content"], tool_calls=calls or None)
    usage = SimpleNamespace(prompt_tokens=0, completion_tokens=0)
    return SimpleNamespace(choices=[SimpleNamespace(message=message)], usage=usage)


# --- calls without eval ------------------------------------------------------------------------


def confine() -> None:
    """Replace `eval` in the module that runs the calls of a model."""
    runner = official("eval_checker.multi_turn_eval.multi_turn_utils")
    instances = vars(runner)

    def call(text: str) -> Any:
        return evaluate_call(text, instances)

    runner.eval = call


# --- gold --------------------------------------------------------------------------------------


def gold(category: str, bare: dict[str, Any], answer: Any) -> list[dict[str, Any]]:
    """The messages of a model that does what the truth says."""
    if category == "live_relevance":
        return []  # the truth does not say which call
    if "relevance" in category:
        return [_message([])]
    if "multi_turn" in category:
        return [
            message
            for turn in answer
            for message in ([_message(list(_gold_calls(turn, bare)))] if turn else [])
            + [_message([])]
        ]
    functions = {function["name"]: function["parameters"] for function in bare["function"]}
    calls: list[tuple[str, dict[str, Any]]] = []
    for truth in answer:
        for name, options in truth.items():
            schema = functions.get(name, {"properties": {}})
            arguments = _chosen(options, schema.get("required", ()))
            if "java" in category:
                arguments = {
                    key: _written(value, schema["properties"].get(key, {}), category)
                    for key, value in arguments.items()
                }
            calls.append((name.replace(".", "_"), arguments))
    return [_message(calls)]


def _chosen(options: dict[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """The first acceptable value of each argument. What may be left out (an empty text stands for
    that) is left out."""
    chosen: dict[str, Any] = {}
    for name, values in options.items():
        if not isinstance(values, list):  # inside of values some truths hold no alternatives
            chosen[name] = values
        elif "" not in values or name in required:
            chosen[name] = _plain(next((value for value in values if value != ""), ""))
    return chosen


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _chosen(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _written(value: Any, schema: dict[str, Any], category: str) -> Any:
    """A value of Java or JavaScript as text, as the official converters read it."""
    kind, inner = schema.get("type"), schema.get("items", {})
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if "javascript" in category and isinstance(value, list | dict):
        return json.dumps(value)
    if isinstance(value, list):
        if kind == "Array":  # its texts are read without quotation marks
            return f"new Object[]{{{', '.join(_written(v, inner, category) for v in value)}}}"
        return f"new ArrayList<>(Arrays.asList({', '.join(_element(v, inner) for v in value)}))"
    if isinstance(value, dict):
        puts = "".join(f'put("{key}", {_element(item, {})}); ' for key, item in value.items())
        return f"new HashMap<>() {{{{ {puts}}}}}"
    suffixes = {"Bigint": "n"} if "javascript" in category else {"float": "f", "long": "L"}
    return f"{value}{suffixes.get(kind, '') if isinstance(kind, str) else ''}"


def _element(value: Any, schema: dict[str, Any]) -> str:
    """A value within a Java collection."""
    return json.dumps(value) if isinstance(value, str) else _written(value, schema, "java")


def _tool_modules() -> dict[str, str]:
    """Module by class of tools."""
    return official("constants.executable_backend_config").CLASS_FILE_PATH_MAPPING


def _gold_calls(turn: Sequence[str], entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls of a turn with arguments by name. Positional ones are named by the method's signature,
    which is not always that of the tool's document."""
    backend = _tool_modules()
    classes = [
        getattr(importlib.import_module(backend[name]), name) for name in entry["involved_classes"]
    ]
    for text in turn:
        call = cast(ast.Call, ast.parse(text.strip(), mode="eval").body)
        name = cast(ast.Name, call.func).id
        method = next(getattr(each, name) for each in classes if hasattr(each, name))
        names = list(inspect.signature(method).parameters)[1:]
        arguments = {key: literal(node) for key, node in zip(names, call.args, strict=False)}
        arguments |= {str(keyword.arg): literal(keyword.value) for keyword in call.keywords}
        yield name, arguments


def _message(calls: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        "content": "" if calls else "Done.",
        "tool_calls": [
            {"id": f"call_{number}", "name": name, "arguments": json.dumps(arguments)}
            for number, (name, arguments) in enumerate(calls)
        ],
    }


if __name__ == "__main__":
    serve(load, forget)

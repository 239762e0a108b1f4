"""An agent program for tests: plays its arena in the way that its argument says.

It knows nothing of the package: only the environment variables, HTTP and JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from typing import Any


def post(url: str, body: Any) -> Any:
    """A request with the session's token."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {os.environ['ASTRA_TOKEN']}",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def mcp(method: str, params: dict[str, Any]) -> Any:
    """A request to the MCP server, of which no handshake is needed."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return post(os.environ["ASTRA_MCP_URL"], body)["result"]


def ask(messages: list[Any], tools: list[Any]) -> Any:
    """The model's next message."""
    body = {"model": os.environ["OPENAI_MODEL"], "messages": messages, "tools": tools}
    answer = post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body)
    return answer["choices"][0]["message"]


def play_with_model() -> str:
    """The usual loop; the last message."""
    tools = [
        {
            "type": "function",
            "function": {
                "name": f"arena__{tool['name']}",
                "description": tool["description"],
                "parameters": tool["inputSchema"],
            },
        }
        for tool in mcp("tools/list", {})["tools"]
    ]
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": os.environ["ASTRA_QUESTION"]},
    ]
    while True:
        message = ask(messages, tools)
        messages.append(message)
        if not message.get("tool_calls"):
            return message["content"]
        for call in message["tool_calls"]:
            name = call["function"]["name"].removeprefix("arena__")
            arguments = json.loads(call["function"]["arguments"])
            result = mcp("tools/call", {"name": name, "arguments": arguments})
            text = result["content"][0]["text"]
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})


def main() -> None:
    way = sys.argv[1]
    if way == "calls":  # without a model: the calls stand in its arguments
        for call in json.loads(sys.argv[2]).get(os.environ["ASTRA_QUESTION"], []):
            mcp("tools/call", call)
        sys.stdout.write("done" + "\n")
    elif way == "model":
        play_with_model()
    elif way == "stray":
        mcp("tools/call", {"name": "capital_of_country", "arguments": {"country": "France"}})
        play_with_model()
    elif way == "environment":
        sys.stdout.write(json.dumps(dict(os.environ)) + "\n")
    elif way == "crash":
        sys.stdout.write("some words" + "\n")
        raise SystemExit("it went wrong")
    elif way == "crash after the answer":
        post(os.environ["ASTRA_MESSAGES_URL"], {"content": "Oslo"})
        raise SystemExit("too late")
    elif way == "hang":
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(600)
    elif way == "daemon":  # leaves something running that holds its output open
        if os.fork() == 0:
            os.setsid()
            time.sleep(15)
            os._exit(0)
        sys.stdout.write("hello" + "\n")
    elif way == "shout":
        sys.stdout.write("x" * 1_000_000 + "\n")


if __name__ == "__main__":
    main()

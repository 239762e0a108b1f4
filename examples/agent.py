"""An agent that `astra evaluate arenas RUN --agent 'python examples/agent.py' --model ...` runs.

It is given addresses by environment variables and needs nothing but Python.
"""

import json
import os
import urllib.request
from typing import Any


def post(url: str, body: dict[str, Any]) -> Any:
    """The answer to a request. The token opens this episode's session only."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {os.environ['ASTRA_TOKEN']}",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def mcp(method: str, params: dict[str, Any]) -> Any:
    """A request to the MCP server, which needs no handshake here."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return post(os.environ["ASTRA_MCP_URL"], body)["result"]


def run_call(call: Any) -> dict[str, Any]:
    """The message with the result of one tool call."""
    try:
        arguments = json.loads(call["function"]["arguments"])
        params = {"name": call["function"]["name"], "arguments": arguments}
        text = mcp("tools/call", params)["content"][0]["text"]
    except ValueError as error:
        text = f"the arguments are not JSON: {error}"
    return {"role": "tool", "tool_call_id": call["id"], "content": text}


def main() -> None:
    messages: list[Any] = [
        {"role": "system", "content": os.environ["ASTRA_SYSTEM_PROMPT"]},
        {"role": "user", "content": os.environ["ASTRA_QUESTION"]},
    ]
    while True:
        # A user who answers may have brought tools.
        tools = [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool["inputSchema"],
                },
            }
            for tool in mcp("tools/list", {})["tools"]
        ]
        body = {"model": os.environ["OPENAI_MODEL"], "messages": messages, "tools": tools}
        answer = post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body)
        message = answer["choices"][0]["message"]
        messages.append(message)
        if message.get("tool_calls"):
            messages += [run_call(call) for call in message["tool_calls"]]
            continue
        # Without calls it is said to the user, who may answer.
        reply = post(os.environ["ASTRA_MESSAGES_URL"], {"content": message["content"] or ""})
        if reply["user"] is None:
            return
        messages.append({"role": "user", "content": reply["user"]})


if __name__ == "__main__":
    main()

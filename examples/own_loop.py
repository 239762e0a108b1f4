"""Play an arena with a loop of your own and any chat-completions client.

python examples/own_loop.py runs/world http://localhost:8000/v1 qwen
"""

from __future__ import annotations

import os
import sys

import openai

import astra


def play(arena: astra.Arena, client: openai.OpenAI, model: str) -> float:
    """Play one arena; returns the F1 of the goals that were solved."""
    with astra.ArenaEnvironment(arena, max_turns=12) as environment:
        state = environment.reset()
        while not state.done:
            reply = client.chat.completions.create(
                model=model, messages=state.messages, tools=state.tools
            )
            state = environment.step(reply.choices[0].message)
        return environment.score().f1


def main() -> None:
    folder, url, model = sys.argv[1:]
    # The client's package wants a key even where the endpoint does not.
    client = openai.OpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    for arena in astra.load_arenas(folder).split("test")[:5]:
        print(f"{play(arena, client, model):.2f}  {arena.question}")


if __name__ == "__main__":
    main()

"""Let a model call Python functions of your own, and look at what it called.

python examples/own_tools.py http://localhost:8000/v1 qwen
"""

from __future__ import annotations

import os
import sys

import astra

EVENTS = {"2026-11-28": ["Dentist", "Choir"], "2026-11-29": ["Hike"]}


def list_events(day: str) -> list[str]:
    """Titles of a day's events.

    Args:
        day: ISO date, e.g. 2026-11-28.
    """
    return EVENTS.get(day, [])


def add_event(day: str, title: str) -> str:
    """Add an event to the calendar.

    Args:
        day: ISO date, e.g. 2026-11-28.
        title: Title of the event.
    """
    EVENTS.setdefault(day, []).append(title)
    return f"{len(EVENTS[day])} events on {day}"


def main() -> None:
    url, name = sys.argv[1:]
    model = astra.OpenAIModel(name, url, api_key=os.environ.get("OPENAI_API_KEY"))
    calendar = astra.FunctionHost([list_events, add_event])
    episode = astra.rollout("What is on today, 2026-11-28?", model, calendar)
    for call in episode.trajectory.calls:
        print(f"{call.tool}({call.arguments}) = {call.result}")
    print(episode.trajectory.answer)


if __name__ == "__main__":
    main()

"""Clients of a server that speaks OpenEnv's WebSocket protocol, and what they measure, as JSON.

    serve_client.py PLAN        PLAN: JSON with `url`, `sessions` and `episodes` (below)

All sessions connect and take their first step; then "open" is printed and a line is read, so that
memory can be measured while they are open; then they play at once. It needs `websockets` alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect


class Client:
    """One connection, which plays its episodes one after the other."""

    def __init__(self, url: str, episodes: list[Any]) -> None:
        self._url = url
        self._episodes = episodes
        self.seconds: list[float] = []
        self.wrong = 0
        self.lost = 0

    async def open(self) -> None:
        self._socket = await connect(self._url, max_size=None, open_timeout=120)
        for message in self._episodes[0]["messages"][:2]:
            await self._ask(message)

    async def play(self) -> None:
        self.seconds.clear()
        try:
            for number, episode in enumerate(self._episodes):
                # The first two messages of the first episode were sent while opening.
                for message in episode["messages"][0 if number else 2 :]:
                    answer = await self._ask(message)
                expected = episode.get("reward")
                self.wrong += expected is not None and answer["data"]["reward"] != expected
            await self._socket.close()
        except Exception:  # noqa: BLE001 - counted
            self.lost += 1

    async def _ask(self, message: Any) -> Any:
        started = time.perf_counter()
        await self._socket.send(json.dumps(message))
        answer = json.loads(await self._socket.recv())
        self.seconds.append(time.perf_counter() - started)
        if answer["type"] == "error":
            raise RuntimeError(answer["data"])
        return answer


async def main(plan: dict[str, Any]) -> None:
    episodes = plan["episodes"]
    clients = [
        Client(each["url"], each["episodes"])
        for each in (episodes[index % len(episodes)] for index in range(plan["sessions"]))
    ]
    opened = await asyncio.gather(*(client.open() for client in clients), return_exceptions=True)
    ready = [c for c, result in zip(clients, opened, strict=True) if result is None]
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.perf_counter()
    await asyncio.gather(*(client.play() for client in ready))
    whole = time.perf_counter() - started
    seconds = sorted(second for client in ready for second in client.seconds)
    figures = {
        "requests": len(seconds),
        "per_second": len(seconds) / whole,
        "p50": seconds[len(seconds) // 2] if seconds else 0.0,
        "p99": seconds[len(seconds) * 99 // 100] if seconds else 0.0,
        "lost": len(clients) - len(ready) + sum(client.lost for client in clients),
        "wrong": sum(client.wrong for client in clients),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))

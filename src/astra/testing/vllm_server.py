"""A server on the loopback that stands in for vLLM where TRL trains with it as a server.

It speaks the part of vLLM's HTTP protocol that TRL's `VLLMClient` uses to generate from token ids
and to send weights (TRL 1.16, vLLM 0.28 to 0.31). `TransformersEngine` generates. Weights come over
gloo instead of NCCL, which needs GPUs.

What this does not guarantee: anything about vLLM itself: its sampling, its names of weights, its
prefix cache, NCCL.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any, NamedTuple, cast

import torch
import torch.distributed

from astra.engines.episode import EngineEpisode, GenerationRequest
from astra.engines.transformers import TransformersEngine
from astra.protocols import Sampling
from astra.testing.http_server import HttpReply, HttpRequest, LoopbackServer

_DISTRIBUTED: Any = torch.distributed  # stores and groups have no types
_WAIT = timedelta(seconds=60)
_AS_IT_IS = {"repetition_penalty": 1.0, "top_k": 0, "min_p": 0.0, "logprobs": 0}
"""Options of a request that have this value or are refused."""


def join_group(init_info: dict[str, Any], rank: int) -> Any:
    """The `ProcessGroupGloo` of the trainer, rank 0, and the server. Waits for the other one."""
    host, port, world = (init_info[n] for n in ("master_address", "master_port", "world_size"))
    store = _DISTRIBUTED.TCPStore(host, port, world, is_master=rank == 0, timeout=_WAIT)
    store = _DISTRIBUTED.PrefixStore("weights", store)
    return _DISTRIBUTED.ProcessGroupGloo(store, rank, world, _WAIT)


class ServedCompletion(NamedTuple):
    """What was sampled for a prompt."""

    updates: int
    """How often the server had got weights by then."""
    prompt_ids: list[int]
    completion_ids: list[int]
    logprobs: list[float]
    """Of the sampled tokens, at the request's temperature."""


class VllmServer(LoopbackServer):
    """The server, as a context. `served` and `updates` may be read at any time."""

    def __init__(self, engine: TransformersEngine, *, port: int = 0) -> None:
        """`engine`: its model takes the weights that come. It must be the server's alone."""
        super().__init__(port)
        self._engine = engine
        self._group: Any = None
        self._updating = False
        self.served: list[ServedCompletion] = []
        self.updates = 0
        """Updates of weights that came to their end."""

    async def respond(self, request: HttpRequest) -> HttpReply:
        body: dict[str, Any] = json.loads(request.body or b"{}")
        try:
            return HttpReply(200, await self._answer(request.path, body))
        except ValueError as error:
            return HttpReply(400, {"error": {"message": str(error)}})

    async def _answer(self, path: str, body: dict[str, Any]) -> Any:
        """The body of a reply. Raises ValueError for what vLLM, or this server, would refuse."""
        match path:
            case "/health":
                return {}
            case "/v1/models":
                return {"data": [{"id": self._engine.name}]}
            case "/server_info":
                transfer = {"backend": "nccl"}
                model = {"logprobs_mode": "processed_logprobs"}
                return {"vllm_config": {"weight_transfer_config": transfer, "model_config": model}}
            case "/get_world_size":
                return {"world_size": 1}
            case "/init_weight_transfer_engine":
                info = body["init_info"]
                self._group = await asyncio.to_thread(join_group, info, info["rank_offset"])
            case "/start_weight_update":
                self._updating = True
            case "/update_weights":
                await asyncio.to_thread(self._receive, body["update_info"])
            case "/finish_weight_update":
                self._updating = False
                self.updates += 1
            case "/reset_prefix_cache":
                return {"success": True}  # this engine keeps nothing between requests
            case "/v1/completions":
                return {"choices": await self._complete(body)}
            case _:
                raise ValueError(f"there is no {path}")
        return {}

    def _receive(self, update_info: dict[str, Any]) -> None:
        """Take the announced weights, in their order."""
        if self._group is None or not self._updating:
            raise ValueError("weights come between start and finish, and after the group was made")
        weights = dict(self._engine.model.named_parameters())
        names, kinds, shapes = (update_info[n] for n in ("names", "dtype_names", "shapes"))
        for name, kind, shape in zip(names, kinds, shapes, strict=True):
            tensor = torch.empty(shape, dtype=getattr(torch, kind))
            self._group.broadcast(tensor, 0).wait()
            if name not in weights:
                raise ValueError(f"the model has no weights {name!r}")
            weights[name].data.copy_(tensor)

    async def _complete(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The choices of a request, `n` for each prompt."""
        for name, value in _AS_IT_IS.items():
            if body[name] != value:
                raise ValueError(f"{name} {body[name]!r} is not supported")
        prompts = [prompt for prompt in body["prompt"] for _ in range(body["n"])]
        room = self._engine.max_length - max(map(len, prompts))
        if room <= 0:
            raise ValueError(f"a prompt of {self._engine.max_length - room} tokens leaves no room")
        sampling = Sampling(temperature=body["temperature"], top_p=body["top_p"])
        limit, loop = min(body["max_tokens"], room), asyncio.get_running_loop()
        # All are open before the first one waits: so a deterministic engine takes them together.
        episodes = [self._engine.open(len(self.served) + n, sampling) for n in range(len(prompts))]
        futures = [loop.create_future() for _ in episodes]
        for prompt, episode, future in zip(prompts, episodes, futures, strict=True):
            episode.ids = list(prompt)
            episode.request = GenerationRequest(sampling, limit, future)
            self._engine.submit(episode)
        try:
            await asyncio.gather(*futures)
        finally:
            for episode in episodes:
                episode.close()
        return [self._choice(*served) for served in zip(prompts, episodes, strict=True)]

    def _choice(self, prompt: list[int], episode: EngineEpisode) -> dict[str, Any]:
        """A completion in the form that TRL asks for (`return_token_ids`)."""
        ids, logprobs = episode.ids[len(prompt) :], list(episode.recorded().logprobs)
        self.served.append(ServedCompletion(self.updates, prompt, ids, logprobs))
        tokens = [f"token_id:{token}" for token in ids]
        of_tokens = {
            "tokens": tokens,
            "token_logprobs": logprobs,
            "top_logprobs": [None] * len(ids),
        }
        return {"prompt_token_ids": prompt, "token_ids": ids, "logprobs": cast(Any, of_tokens)}

"""TRL's client of vLLM where there is no vLLM: HTTP by the standard library, weights over gloo.

All else is TRL's: what is asked in which order, how weights are named, how replies are read.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from trl.generation import vllm_client, vllm_generation

from astra.testing.vllm_server import join_group


class Session:
    """The part of `requests.Session` that the client uses."""

    def mount(self, prefix: str, adapter: Any) -> None:
        """Connections are not kept."""

    def get(self, url: str, params: Any = None) -> Any:
        return reply(f"{url}?{urllib.parse.urlencode(params)}" if params else url)

    def post(self, url: str, json: Any = None) -> Any:
        return reply(url, {} if json is None else json)


def reply(url: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content)) as answer:
            status, text, headers = answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            status, text, headers = error.code, error.read().decode(), error.headers
    return SimpleNamespace(
        status_code=status, text=text, headers=headers, json=lambda: json.loads(text)
    )


def join(init_info: dict[str, Any]) -> Any:
    """The trainer's end of the group."""
    # TRL closes it by forgetting these two.
    of_vllm = SimpleNamespace(store=None, socket=None)
    return SimpleNamespace(group=of_vllm, gloo=join_group(init_info, 0))


def send(iterator: Iterator[Any], group: Any, src: int, post_iter_func: Callable[..., Any]) -> None:
    for item in iterator:
        group.gloo.broadcast(post_iter_func(item).contiguous(), src).wait()


def without_vllm(patch: pytest.MonkeyPatch) -> None:
    """Let TRL's trainers take a `VllmServer` for vLLM's server, on a CPU."""
    for module in (vllm_client, vllm_generation):
        patch.setattr(module, "is_vllm_available", lambda *_, **__: True)
    stand_ins = {
        "is_requests_available": lambda: True,
        "requests": SimpleNamespace(
            Session=Session, get=reply, exceptions=SimpleNamespace(RequestException=OSError)
        ),
        "HTTPAdapter": dict,
        "Retry": dict,
        "get_ip": lambda: "127.0.0.1",
        "_HAS_STATEFUL_TRAINER_ENGINE": True,
        "_HAS_RESET_PREFIX_CACHE_SUCCESS": True,
        "open_trainer_endpoint": join,
        "packed_nccl_broadcast_producer": send,
    }
    for name, value in stand_ins.items():
        patch.setattr(vllm_client, name, value, raising=False)
    init = vllm_client.VLLMClient.init_communicator
    # TRL refuses devices without NCCL by their name.
    patch.setattr(
        vllm_client.VLLMClient, "init_communicator", lambda self, device: init(self, "cuda")
    )

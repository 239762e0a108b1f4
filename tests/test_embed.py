"""Embedders: TF-IDF in both languages, and an endpoint whose every fault must be noticed."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest

from astra.errors import EmbedderError
from astra.models.embed_openai import OpenAIEmbedder
from astra.models.embed_tfidf import TfidfEmbedder, terms
from astra.protocols import Embedder

# --- TF-IDF ------------------------------------------------------------------------------------

TEXTS = [
    "get_city_population\nPopulation of a city\ncity: name of the city",
    "listCitiesByPopulation\nCities with the largest populations",
    "get_river_length\nLength of a river in km\nriver: name of the river",
    "查询城市人口\n返回一个城市的人口数量",
    "城市人口排名\n人口最多的城市",
    "查询河流长度\n返回一条河流的长度",
    "",
]


async def test_tfidf_rows_are_unit_vectors_or_zeros():
    rows_ND = await TfidfEmbedder().embed(TEXTS)
    assert rows_ND.dtype == np.float32
    assert len(rows_ND) == len(TEXTS)
    assert np.linalg.norm(rows_ND, axis=1) == pytest.approx([1] * 6 + [0], abs=1e-6)


async def test_tfidf_puts_like_tools_together_in_both_languages():
    rows_ND = await TfidfEmbedder().embed(TEXTS)
    similarity = rows_ND @ rows_ND.T
    assert similarity[0, 1] > similarity[0, 2]
    assert similarity[3, 4] > similarity[3, 5] > 0
    assert similarity[0, 3] == 0


async def test_tfidf_is_deterministic_and_bounded():
    embedder: Embedder = TfidfEmbedder(features=20)
    one, other = await embedder.embed(TEXTS), await embedder.embed(TEXTS)
    assert (one == other).all()
    assert one.shape == (7, 20)


@pytest.mark.parametrize("texts", [[], [""], ["", " \n!"], ["的"], ["a"]])
async def test_tfidf_of_hardly_anything(texts: list[str]):
    rows_ND = await TfidfEmbedder().embed(texts)
    assert len(rows_ND) == len(texts)
    assert np.isfinite(rows_ND).all()


def test_terms_split_identifiers_and_share_stems():
    assert {"get", "city", "2"} <= set(terms("get_city2"))
    assert "city" in set(terms("getCityName"))
    assert set(terms("population")) & set(terms("populations"))
    assert list(terms("人口数")) == ["人口", "口数"]
    assert list(terms("Ｃ")) == ["c"]


# --- an endpoint -------------------------------------------------------------------------------

Answer = tuple[int, Any]
"""Status, and a JSON value or raw bytes."""


@contextmanager
def endpoint(answer: Callable[[int, dict[str, Any]], Answer]) -> Iterator[tuple[str, list[Any]]]:
    """A real HTTP server on the loopback; `answer` is given the request's number and body."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "key": self.headers["Authorization"], **body})
            status, reply = answer(len(requests) - 1, body)
            payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", requests
        finally:
            server.shutdown()
            thread.join()


def reply_to(body: dict[str, Any], **change: Any) -> dict[str, Any]:
    """A right answer: each text's vector tells its length."""
    rows = [{"index": i, "embedding": [len(text), 1]} for i, text in enumerate(body["input"])]
    reply = {"object": "list", "data": rows, "usage": {"prompt_tokens": 10 * len(rows)}}
    return {**reply, **change}


def embedder(url: str, **options: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder("model-e", url, "sk-secret", **{"retries": 1, **options})


def unit(length: int) -> list[float]:
    return [length / np.hypot(length, 1), 1 / np.hypot(length, 1)]


async def test_endpoint_in_batches_with_order_and_tokens():
    def answer(number: int, body: dict[str, Any]) -> Answer:
        reply = reply_to(body)
        reply["data"].reverse()
        return 200, reply

    texts = ["a" * n for n in (3, 1, 4, 1, 5, 9, 2)]
    with endpoint(answer) as (url, requests):
        client: Embedder = (model := embedder(url, batch=3))
        rows_ND = await client.embed(texts)
    assert rows_ND.dtype == np.float32
    np.testing.assert_allclose(rows_ND, [unit(len(text)) for text in texts], rtol=1e-6)
    assert [len(request["input"]) for request in requests] == [3, 3, 1]
    assert {request["path"] for request in requests} == {"/v1/embeddings"}
    assert {request["model"] for request in requests} == {"model-e"}
    assert requests[0]["key"] == "Bearer sk-secret"
    assert model.usage.prompt_tokens == 70


async def test_blank_texts_are_zeros_and_are_not_sent():
    with endpoint(lambda _, body: (200, reply_to(body))) as (url, requests):
        rows_ND = await embedder(url).embed(["", "abc", " \n"])
        nothing = await embedder(url).embed([])
    np.testing.assert_allclose(rows_ND, [[0, 0], unit(3), [0, 0]], rtol=1e-6)
    assert requests[0]["input"] == ["abc"]
    assert (len(nothing), len(requests)) == (0, 1)


async def test_a_passing_fault_is_retried():
    def answer(number: int, body: dict[str, Any]) -> Answer:
        return (500, {"error": "busy"}) if number == 0 else (200, reply_to(body))

    with endpoint(answer) as (url, requests):
        rows_ND = await embedder(url).embed(["abc"])
    np.testing.assert_allclose(rows_ND, [unit(3)], rtol=1e-6)
    assert len(requests) == 2


def one(embedding: Any, index: Any = 0) -> dict[str, Any]:
    return {"index": index, "embedding": embedding}


FAULTS: dict[str, Any] = {
    "too few": {"data": [one([1, 2])]},
    "too many": {"data": [one([1, 2], i) for i in range(3)]},
    "none": {"data": []},
    "one index twice": {"data": [one([1, 2]), one([1, 2])]},
    "wrong numbers": {"data": [one([1, 2], 1), one([1, 2], 2)]},
    "no index": {"data": [{"embedding": [1, 2]}, {"embedding": [1, 2]}]},
    "NaN": b'{"data": [{"index": 0, "embedding": [NaN, 1]}, {"index": 1, "embedding": [1, 1]}]}',
    "infinity": b'{"data": [{"index": 0, "embedding": [1e999]}, {"index": 1, "embedding": [1]}]}',
    "zeros": {"data": [one([0, 0]), one([1, 2], 1)]},
    "empty vectors": {"data": [one([]), one([], 1)]},
    "other lengths": {"data": [one([1, 2]), one([1, 2, 3], 1)]},
    "null": {"data": [one(None), one([1, 2], 1)]},
    "words": {"data": [one(["a", "b"]), one([1, 2], 1)]},
    "base64": {"data": [one("AACAPwAAAEA="), one("AACAPwAAAEA=", 1)]},
    "no data": {"error": {"message": "model sk-secret not loaded"}},
    "no object": [1, 2],
    "garbage": b"<html>gateway</html>",
    "truncated": b'{"data": [{"index": 0, "embedding": [1,',
    "empty": b"",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_wrong_reply_raises(fault: str):
    with (
        endpoint(lambda _, body: (200, FAULTS[fault])) as (url, requests),
        pytest.raises(EmbedderError, match="model-e") as caught,
    ):
        await embedder(url).embed(["abc", "de"])
    assert len(requests) == 1
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_error_status_raises_without_the_key(status: int):
    error = {"error": {"message": "bad key sk-secret"}}
    with (
        endpoint(lambda _, body: (status, error)) as (url, requests),
        pytest.raises(EmbedderError, match="model-e") as caught,
    ):
        await embedder(url, retries=0).embed(["abc"])
    assert len(requests) == 1
    assert "sk-secret" not in str(caught.value)
    assert "sk-secret" not in repr(embedder(url))


async def test_vector_lengths_may_not_change_between_batches():
    def answer(number: int, body: dict[str, Any]) -> Answer:
        return 200, {"data": [one([1] * (2 + number))]}

    with endpoint(answer) as (url, _), pytest.raises(EmbedderError, match="lengths"):
        await embedder(url, batch=1).embed(["a", "b"])


async def test_no_endpoint_and_a_slow_one_raise():
    with endpoint(lambda _, body: (200, reply_to(body))) as (url, _):
        pass
    with pytest.raises(EmbedderError, match="check that the endpoint is up"):
        await embedder(url, retries=0).embed(["a"])

    def slow(number: int, body: dict[str, Any]) -> Answer:
        time.sleep(0.4)
        return 200, reply_to(body)

    with endpoint(slow) as (url, _), pytest.raises(EmbedderError, match="model-e"):
        await embedder(url, retries=0, timeout_seconds=0.1).embed(["a"])

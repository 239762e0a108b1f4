"""The HTTP client of OpenAI-compatible endpoints: what goes to one is what its user gave, no more.

Nothing of the environment's `OPENAI_*` variables is sent, and no redirect is followed: the request
holds a key and the data of a run, and goes to the address that was given or nowhere. Proxies and
certificates of the environment (`HTTPS_PROXY`, `SSL_CERT_FILE`) are used.
"""

from __future__ import annotations

import openai

from astra.configs.endpoints import check_address
from astra.errors import ConfigError


def endpoint_client(
    base_url: str, api_key: str | None, *, timeout: float, retries: int = 0
) -> openai.AsyncOpenAI:
    """A client of one endpoint. Raises ConfigError for an address that holds a password."""
    try:
        check_address(base_url)
    except ValueError as error:
        raise ConfigError(f"the base URL of an endpoint can't be used: {error}") from None
    client = openai.AsyncOpenAI(
        api_key=api_key or "none",  # local servers want no key, the client wants one
        base_url=base_url,
        timeout=timeout,
        max_retries=retries,
        http_client=openai.DefaultAsyncHttpxClient(timeout=timeout, follow_redirects=False),
    )
    # The client takes these from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS, which
    # belong to another account's endpoint; there is no public way to have no headers of the last.
    client.organization = None
    client.project = None
    client._custom_headers = {}  # pyright: ignore[reportPrivateUsage]
    return client


def redirect_target(error: openai.OpenAIError) -> str | None:
    """Where an endpoint redirects to, for the error's text. None: it is not a redirect."""
    if not isinstance(error, openai.APIStatusError) or not 300 <= error.status_code < 400:
        return None
    return error.response.headers.get("location", "")[:200]


def redirect_advice(target: str) -> str:
    """What to do about a redirect, which is never followed."""
    return (
        f"The endpoint redirects to {target!r}, and nothing was sent there: if that is where the "
        "requests and the key should go, give it as the endpoint's URL"
    )

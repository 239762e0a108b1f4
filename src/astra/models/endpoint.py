"""The HTTP client of OpenAI-compatible endpoints: what goes to one is what its user gave, no more.

Nothing of the environment's `OPENAI_*` variables is sent, and no redirect is followed: the request
holds a key and the data of a run, and goes to the address that was given or nowhere. Proxies and
certificates of the environment (`HTTPS_PROXY`, `SSL_CERT_FILE`) are used.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from astra.configs.endpoints import check_address
from astra.errors import ConfigError
from astra.types import Json

if TYPE_CHECKING:
    import openai

_HEADER_VALUE = re.compile("[!-~]([ -~]*[!-~])?")


class KeyMask:
    """Cuts an API key out of what an endpoint says, which may quote the request.

    Also in the spellings that writers of JSON, HTML and URLs give to a key's `/`, `+` and `=`.
    """

    def __init__(self, api_key: str | None, *, shortest: int = 1) -> None:
        """`shortest`: characters of the shortest key that is hidden."""
        hidden = api_key if api_key and len(api_key) >= shortest else ""
        self._key = re.compile("".join(map(_spellings, hidden))) if hidden else None

    def text(self, text: str) -> str:
        """The text without the key. Cut it afterwards: half a key is not recognised."""
        return self._key.sub("***", text) if self._key else text

    def value(self, value: Json) -> Json:
        """A parsed value without the key in its texts, names of fields included."""
        if self._key is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value


def _spellings(character: str) -> str:
    """A pattern for one character of a key."""
    if character.isalnum() or character in "-_.":  # written alike everywhere
        return re.escape(character)
    written = {character, html.escape(character)}
    code = ord(character)
    return (
        rf"(?:\\*(?:{'|'.join(map(re.escape, sorted(written)))})"
        rf"|\\+u(?i:{code:04x})|&#0*{code};|&#[xX]0*(?i:{code:x});|(?i:%{code:02x}))"
    )


def endpoint_client(
    base_url: str, api_key: str | None, *, timeout: float, retries: int = 0
) -> openai.AsyncOpenAI:
    """A client of one endpoint. Raises ConfigError for an address that holds a password, for a key
    that no header can carry, and for an unusable proxy; none of these is shown.
    """
    import openai  # it takes a second, and most commands ask no endpoint

    try:
        check_address(base_url)
    except ValueError as error:
        raise ConfigError(f"the base URL of an endpoint can't be used: {error}") from None
    if api_key and not _HEADER_VALUE.fullmatch(api_key):
        raise ConfigError(
            "the API key holds a line break, a space at an end or a letter beyond ASCII, which no "
            "request can carry: store the bare key"
        )
    try:
        http_client = openai.DefaultAsyncHttpxClient(timeout=timeout, follow_redirects=False)
    except Exception:  # noqa: BLE001 - of the HTTP library, one of two; it may quote a password
        raise ConfigError(
            "a proxy of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) can't be used: write "
            "an address like http://user:password@host:8080, with %23 for # in a password; socks5 "
            "needs the package `socksio`"
        ) from None
    client = openai.AsyncOpenAI(
        api_key=api_key or "none",  # local servers want no key, the client wants one
        base_url=base_url,
        timeout=timeout,
        max_retries=retries,
        http_client=http_client,
    )
    # The client takes these from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS, which
    # belong to another account's endpoint; there is no public way to have no headers of the last.
    client.organization = None
    client.project = None
    client._custom_headers = {}  # pyright: ignore[reportPrivateUsage]
    return client


def redirect_target(error: openai.OpenAIError) -> str | None:
    """Where an endpoint redirects to, for the error's text. None: it is not a redirect."""
    import openai

    if not isinstance(error, openai.APIStatusError) or not 300 <= error.status_code < 400:
        return None
    return error.response.headers.get("location", "")


def redirect_advice(target: str) -> str:
    """What to do about a redirect, which is never followed."""
    return (
        f"The endpoint redirects to {target[:200]!r}, and nothing was sent there: if that is "
        "where the requests and the key should go, give it as the endpoint's URL"
    )

"""Whether the description of a tool says what it does, judged beside its name and parameters."""

from __future__ import annotations

import re

from astra.types import Json

_WORD = re.compile(r"[^\W\d_]+|\d+")
# Scripts without spaces between words: characters are counted instead.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LEAST_UNSPACED = 4
_GRAMMAR = frozenset(
    "a an the this that these those it its is are was be been being of to in on at by for from "
    "with and or not no any all some as into about over if then than there here which what who "
    "when you your we our i me my he she they them their can will may must should would could "
    "did has have had so such more most very just only also new existing given".split()
)
# Words of placeholders, and words that are true of every tool.
_SAYS_NOTHING = frozenset(
    "text something nothing anything everything says say function functions tool tools method "
    "methods endpoint endpoints api apis operation operations description descriptions "
    "documentation docs doc todo tbd fixme xxx placeholder none null undefined na test tests "
    "testing foo bar baz lorem ipsum dolor sit amet undocumented missing unknown deprecated data "
    "result results response responses returns return value values call calls called calling "
    "used use uses".split()
)
# Sentences about a description in place of one.
_ABOUT_ITSELF = re.compile(
    r"\bsay(?:s|ing)? nothing\b|\bdescription (?:goes |comes )?here\b"
    r"|\bto be (?:written|documented|described|filled in)\b",
    re.IGNORECASE,
)
_SAYS_NOTHING_UNSPACED = re.compile(
    "暂无|没有|说明|描述|测试|工具|函数|方法|接口|占位|无|説明|テスト"
)


def says_something(name: str, description: str, parameters: Json = None) -> bool:
    """Whether a description says what its tool does.

    It does with a word of content that is not the name's, or with two that are, if it is more than
    the name again: "Deletes a pet" does for `deletePet`, "get user" does not for `getUser`. A
    single word of the name needs two parameters that are described.

    Args:
        name: Name of the tool at its source.
        description: Its description; of an API operation also its summary.
        parameters: JSON Schema of its arguments.
    """
    words = _words(_UNSPACED.sub(" ", description))
    known = _words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)) | {name.casefold()}
    content = {word for word in words - _GRAMMAR - _SAYS_NOTHING if len(word) > 1}
    if len(_UNSPACED.findall(_SAYS_NOTHING_UNSPACED.sub("", description))) >= _LEAST_UNSPACED:
        return True
    if not content or not words - known or _ABOUT_ITSELF.search(description):
        return False
    if len(content) >= 2 or not any(_akin(word, other) for word in content for other in known):
        return True
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    described = [
        child
        for child in (properties.values() if isinstance(properties, dict) else ())
        if isinstance(child, dict)
        and isinstance(text := child.get("description"), str)
        and len(_words(text) - _GRAMMAR - _SAYS_NOTHING) >= 2
    ]
    return len(described) >= 2


def _akin(word: str, other: str) -> bool:
    """Whether two words are forms of one: "sends" and "send"."""
    short, long = sorted((word, other), key=len)
    return long.startswith(short[: max(3, len(short) - 1)]) and len(long) - len(short) <= 3


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}

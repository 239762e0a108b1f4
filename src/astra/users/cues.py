"""What a message of an agent is, by its words: a question, a refusal, a claim that all is done.

Rules for English and Chinese, applied to whatever language the message is in. They read wording
and never the state, so that nothing a user says tells more than the agent was told before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?。！？]+(?=\s|$|[\"'”’)）*])|[。！？]|\n|$)")


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_SPECIFY = "tell|specify|provide|give|confirm|share|clarify|state|enter|supply"
_DOING = "go ahead|proceed|continue|do|make|set|change|update|create|move|cancel|delete|add|apply"
_MADE = "set|changed|updated|created|moved|added|turned|cancelled|deleted|transferred"
_MEANS = "tool|function|way|ability|access|option|capability|means|api|permission"
_LACKING = (
    "no|not any|without an?|lacks? an?|lack the|missing an?"
    "|(?:do|does)(?:n't| not) have (?:an?|the|any)"
    "|is(?:n't| not) an?|there(?:'s| is) no"
)
_CLOSINGS = _any(
    r"(?:is|was) there (?:anything|something) else\b",
    r"\banything (?:else|more|further)\b",
    r"\bany (?:other|further|more) (?:question|request|change|help)",
    r"\b(?:how|what) (?:else )?(?:can|may|could) I (?:help|assist|do for) you",
    r"\b(?:let me know|feel free|don't hesitate|please reach out)\b"
    r"(?![^.?!]*\b(?:which|what|how much|how many)\b)",
    r"还有(?:什么|其他|别的)|其他(?:问题|需要|需求)|(?:随时|欢迎)(?:告诉|联系|找)我",
    r"(?:如有|若有|如果有|有任何|如需)[^。？?]*(?:问题|需要|帮助|随时)",
)
_ASKING = _any(
    rf"\b(?:please|kindly) (?:{_SPECIFY})\b",
    rf"\b(?:could|can|would|will) you (?:please )?(?:{_SPECIFY}|let me know)\b",
    r"\b(?:let me know|tell me|I(?:'d| would)? (?:need|want|like) to know|I need)"
    r" (?:which|what|how|when|where|the|your|whether|if|to know)\b",
    r"\b(?:what|which) (?:\w+ ){0,6}(?:should|would|do|shall|is|are) (?:I|you|it|the|we)\b",
    r"(?:请|麻烦您?|烦请)(?:您|你)?(?:先)?(?:告诉|告知|提供|说明|确认|指定|明确|补充|给出)",
    r"(?:是|要|想|需|为|成|到)(?:什么|多少|哪|几)|请问|想问|多大",
)
_CANNOT = _any(
    r"\b(?:can(?:no|')t|can not|could(?:n't| not)|unable to|not able to)\b"
    r"(?! (?:find|locate|see any|identify))",
    rf"\b(?:{_LACKING}) (?:\w+[ -]){{0,4}}?(?:{_MEANS})\b",
    r"\b(?:is|are)(?:n't| not)(?: currently)? (?:possible|supported|available|something I can)\b",
    r"\bnone of (?:the|my) (?:available )?tools\b",
    r"\bbeyond (?:my|the) (?:tools|abilities|capabilit)",
    r"无法|不能(?!为空)|没法|办不到|做不到|不支持",
    r"没有(?:[^。，,；;]{0,12})(?:工具|功能|办法|权限|接口|方法)",
    r"缺少(?:[^。，,；;]{0,12})(?:工具|功能|接口)|无(?:可用|相应|合适|对应)的?(?:工具|功能)",
)
_CONFIRMING = _any(
    rf"\b(?:shall|should|may|can) I (?:{_DOING}|transfer|remove|turn)\b",
    r"\b(?:do you want|would you like|want) me to\b",
    r"\bis (?:that|this) (?:correct|right|ok(?:ay)?|fine)",
    r"\b(?:please|can you|could you) confirm\b",
    r"\bconfirm (?:that|this|the|these|before)\b",
    r"\b(?:correct|right|ok(?:ay)?|proceed|go ahead|sound good)\?",
    r"(?:可以|行|对|好|确认|正确|没错)(?:吗|么|吧)|是否(?:确认|继续|同意|需要我|要我|可以)",
    r"(?:需要|要)我(?:帮|为|来|把|将|继续)|请(?:您|你)?(?:再次)?确认",
)
_DONE = _any(
    rf"\b(?:done|completed|finished|all set|has been|have (?:been )?(?:{_MADE}))\b",
    rf"\bI(?:'ve| have) \w+ed\b|\bI (?:{_MADE})\b",
    r"已(?:经)?(?:完成|改|更新|设|修改|创建|新建|添加|处理|办|调拨|开启|关闭)",
    r"完成了|办好了|设置为|改为了",
)


def plain(text: str) -> str:
    """A text as it is searched: one spelling of letters, quotation marks and spaces."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("_", " ")
    return re.sub(r"[ \t*`]+", " ", text)


def sentences(text: str) -> list[str]:
    """The sentences of a message, marks at their ends."""
    return [part for found in _SENTENCE.finditer(plain(text)) if (part := found[0].strip())]


def questions(text: str) -> list[int]:
    """Which of the sentences ask something. A closing such as "Anything else?" asks nothing."""
    return [
        number
        for number, sentence in enumerate(sentences(text))
        if not _CLOSINGS.search(sentence)
        and (sentence.rstrip("\"'”’)* ").endswith("?") or _ASKING.search(sentence))
    ]


def asks_for(text: str, labels: Iterable[str], choices: Sequence[str] = ()) -> bool:
    """Whether a message asks for something of these names, in a question or just beside one.

    Naming two of the values that there are to choose from is asking, too.
    """
    parts = sentences(text)
    for number in questions(text):
        near = " ".join(parts[max(0, number - 1) : number + 2])
        if any(_stands_in(label, near) for label in labels):
            return True
        if sum(_stands_in(choice, near) for choice in choices) >= 2:
            return True
    return False


def says_cannot(text: str) -> bool:
    """Whether a message says that something can't be done, or that a tool for it is missing."""
    return bool(_CANNOT.search(plain(text)))


def asks_to_go_ahead(text: str) -> bool:
    """Whether a message asks for leave to do what was asked for."""
    return any(
        _CONFIRMING.search(sentence) and not _CLOSINGS.search(sentence)
        for sentence in sentences(text)
    )


def says_done(text: str) -> bool:
    """Whether a message claims that something was done."""
    return bool(_DONE.search(plain(text)))


def _stands_in(words: str, text: str) -> bool:
    """Whether words stand in a text: at word boundaries, where the script has them."""
    wanted = plain(words).strip().casefold()
    if not wanted:
        return False
    start = r"(?<!\w)" if wanted[0].isascii() else ""
    end = r"(?!\w)" if wanted[-1].isascii() else ""
    return re.search(start + re.escape(wanted) + end, text.casefold(), re.ASCII) is not None

"""Whether a question asks to change something in the world: to book, buy, send, cancel.

Arenas hold no state, so that such a request would become a lookup with an invented code. Read from
words alone: a verb of that kind where a request has its verb. Not covered: requests in other words
("I need a room in Oslo on Friday"); the field `acts` of a decomposition is the teacher's word on
those.
"""

from __future__ import annotations

import re

from astra.types import Language

_VERBS = (
    r"(?:book|buy|purchase|reserve(?! (?-i:[A-Z]))|pay(?! attention)|send|e-?mail|cancel|submit"
    r"|subscribe|unsubscribe|enrol+|schedule|reschedule|rebook|refund|upload|delete"
    r"|register (?:me |us )?(?:for|at|with)|sign (?:me |us )?up|apply for|transfer|donate"
    r"|order(?! (?:of|(?:the |these |them |all )?[\w ]{1,40} by)\b)"
    r"|post an? |write (?:an? )?(?:[\w-]+ )?review|(?:make|place) (?:an? |the |my )?(?:\w+ )?"
    r"(?:reservation|booking|order|payment|appointment|deposit)"
    r"|get (?:me |us )?(?:[\w'’.&-]+ ){0,8}?(?:tickets?|room|table|seats?)\b"
    r"|add (?:[^.?!]{1,60} )?to (?:my|the|our) (?:cart|basket|calendar|list|account)"
    r"|create (?:an? |my )?account|set (?:an? |my )?(?:alarm|reminder)|turn (?:on|off))"
)
_DOING = (
    r"(?:booking|buying|purchasing|reserving|paying|ordering|getting (?:[\w'’.&-]+ ){0,8}?tickets)"
)
# A noun at the beginning ("Book 3 of the Iliad") is no verb.
_SENTENCE_START = (
    rf"^(?:please,? |kindly |now |then |first,? |next,? )*(?:try to )?{_VERBS}\b"
    r"(?! (?:\d+|[ivx]+) of\b)"
)
_ASKED_FOR = (
    r"\b(?:help (?:me |us )?(?:to )?|i(?: also)? (?:need|want|have) (?:you )?to "
    r"|i(?:'|’)m trying to |i am trying to |i(?:'|’)d like (?:you )?to |i would like (?:you )?to )"
    rf"(?:the upcoming |please )?{_VERBS}\b|\b(?:assist|help) (?:me|us) (?:in |with )?{_DOING}\b"
)
# "Can you buy wine on Sundays?" asks about anybody.
_FOR_ME = (
    rf"\b(?:can|could|would|will) you (?:please |kindly )?(?:help me )?{_VERBS}\b"
    r"(?=.*\b(?:me|my|us|our|please)\b)"
    rf"|\b(?:can|could|would|will) you (?:please|kindly) {_VERBS}\b"
)
_AFTERWARDS = rf"\b(?:and|then)(?: then)? (?:try to )?{_VERBS}\b"
_TRIED = rf"\bthen try to {_VERBS}\b"
_ENGLISH = re.compile("|".join((_SENTENCE_START, _ASKED_FOR, _FOR_ME, _TRIED)), re.IGNORECASE)
_ENGLISH_AFTERWARDS = re.compile(_AFTERWARDS, re.IGNORECASE)
# "Did she write a song and then buy the studio?" tells of an act.
_ASKS = re.compile(
    r"(?:who|whom|whose|what|when|where|which|why|how|did|does|do|is|are|was|were|has|have|had|if"
    r"|in|on|at|of|by|from|to|for)\b",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.?!;:])\s+|\n+")

_CHINESE_VERBS = (
    "(?:预订|预定|订购|订(?!单|阅量)|购买|买|下单|支付|付款|缴费|转账|汇款|取消|发送|发(?:邮件|短信|消息|一[封条])"
    "|寄|提交|注册|报名|预约|挂号|退款|退货|退订|改签|删除|充值|续费|申请|叫一?辆?车)"
)
_CHINESE_PLACE = "(?:[在从用到][^，。？！,]{1,15}?(?:上|里|处|店|网|app)?)?"
_CHINESE = re.compile(
    rf"(?:帮我|帮忙|替我|给我|为我|我要|我想要?|我需要|请你?|麻烦你?您?){_CHINESE_PLACE}(?:一下)?"
    rf"{_CHINESE_VERBS}(?![^，。？！]{{0,30}}(?:多少|哪|谁|什么|几|怎么))"
    r"|^给[^，。？！的]{1,8}(?:发|寄|转|订|买)"
    r"|把[^，。？！]{1,25}(?:取消|发给|发送|寄给|寄到|转给|删除|退掉|订下)"
)
_CHINESE_START = re.compile(rf"^{_CHINESE_VERBS}(?![^。！]*(?:多少|哪|谁|什么|几|怎么|如何|吗))")


def asks_to_act(question: str, language: Language) -> bool:
    """Whether a question asks to do something that changes a state, not to find something out."""
    for sentence in filter(None, map(str.strip, _SENTENCES.split(question.strip()))):
        if language == "zh":
            parts = re.split("[。！？，；]", sentence)
            if _CHINESE.search(sentence) or any(map(_CHINESE_START.search, filter(None, parts))):
                return True
        elif _ENGLISH.search(sentence) or (
            not _ASKS.match(sentence) and _ENGLISH_AFTERWARDS.search(sentence)
        ):
            return True
    return False

"""Whether a message declares that something is not going to be done, in English or Chinese.

Cues are searched clause by clause, after what only looks like one was set aside: questions,
conditions ("until you confirm"), rules that do not apply, and "nothing else was changed".

What this does not guarantee: irony, other languages, and refusals without any of the cues. The
messages it is measured on stand in tests/stateful/data/refusals.jsonl.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_LONGEST_TEXT = 20_000
_LONGEST_SENTENCE = 600
"""Characters that are read: some patterns take time with the square of a sentence."""
_NOT = r"(?:n't|\s+not|\s+never)"
_BE = r"(?:is|are|was|were|be|been|has been|have been|had been)"
_DO = (
    r"(?:chang|updat|modif|alter|edit|creat|add|set\b|cancel|mov|transfer|turn|made|mak|do\b|done"
    r"|carr|process|perform|execut|complet|touch|fulfil|approv|proceed|go ahead|happen)"
)
# What cannot be known, seen or felt is no refusal.
_KNOW = (
    r"(?:find|found|locate|see\b|seen|wait|thank|tell\b|say\b|sure|help but|take|know|identif|read"
    r"|determin|guess)"
)
_ENGLISH: Final = re.compile(
    rf"""
      \b(?:can|could|would|will|wo|may|must|might|shall|should|ca){_NOT}\s+(?!\w*\s*{_KNOW})(?=[a-z])
    | \b(?:can|could|may|must|will|would)\s+(?:not|never|no\s+longer)\s+(?!{_KNOW})(?=[a-z])
    | \bcannot\s+(?!{_KNOW})(?=[a-z])
    | \bunable\s+to\s+(?!{_KNOW})
    | {_NOT}\s+(?:yet\s+|currently\s+|be\s+)?able\s+to\s+(?!{_KNOW})
    | {_NOT}\s+(?:be\s+)?(?:allow|permit|possible|eligible|authori[sz]ed|something\s+(?:i|we)\b)
    | \b(?:does|do|did){_NOT}\s+(?:allow|permit|let\b)
    | \bimpossible\b | \bout\s+of\s+the\s+question\b | \bnot\s+an\s+option\b
    | \b(?:forbid|prohibit|disallow|exclud|forbad)(?:s|den|ed|es|e)?\b
    | \bagainst\s+(?:the|our|this|that|a|company)?\s*(?:service\s+)?(?:polic|rule)
    | \b(?:violat|breach|contraven)(?:e|es|ed|ing)\b | \bbreaks?\s+(?:the\s+)?(?:rule|polic)
    | \bbreak\s+rule | \brul(?:es?|ed|ing)\s+(?:it|this|that|them)\s+out | \bruled\s+out\b
    | \b(?:refus|declin|den(?:y|ied))(?:e|es|ed|ing)?\b
    | \bturn(?:ed)?\s+(?:it|this|that|you)\s+down
    | \b(?:prevent|stop|block|keep|bar)(?:s|ped|ed)?\s+(?:me|us|it|this|that|the)\b
    | \bstands?\s+in\s+the\s+way\b | \b(?:lack|no)\s+(?:the\s+)?permission
    | \bonly\s+(?:\w+\s+){{0,3}}(?:allowed|permitted|possible|may)\b
    | \b(?:{_BE}|did|do|have|has|had){_NOT}\s+(?:been\s+|be\s+|was\s+)?(?=\w*{_DO})
    | \b{_BE}\s+not\s+(?:been\s+|be\s+)?(?={_DO})
    | \b(?:no|any)\s+changes?\s+(?:was|were|has|have)\s+(?:been\s+)?made
    | \bmade\s+no\s+change | \bnothing\s+(?:was|has\s+been|is)\s+(?:chang|done|updat)
    | \b(?:left|leave|leaving|stays?|remains?|keep|kept)\s+(?:\w+\s+){{0,6}}?
      (?:unchanged|untouched|as\s+(?:it|they)\s+(?:is|was|are|were)|at\s)
    | ,?\s*\b(?:was|were|has|have)\s+not\b\s*,?\s*(?:because|since|as)
    | \b(?:except|apart\s+from)\b.*\b(?:rule|polic)
    | \bno\s+(?:\w+\s+){{1,2}}(?:was|were|has\s+been|is)\s+(?={_DO})
    | \breject(?:s|ed|ing)?\s+(?:this|the|your|it|that)\b | \bneither\b.*\b(?:allowed|permitted)\b
    | \bconflicts?\s+with\b | \bblocked\s+by\b | {_NOT}\s+(?:accept|entitled|doable|feasible|comply)
    | \bban(?:s|ned)?\b | \b(?:left|leave|leaving)\s+(?:\w+\s+){{1,4}}alone\b | \bdid\s+nothing\b
    | \b(?:stays?|remains?|kept)\s+the\s+same\b | \bno\s+\w+\s+(?:is|are)\s+(?={_DO})
    | \bpass\s+on\s+th | \bhands\s+are\s+tied\b
    | \b(?:had|have)\s+to\s+(?:skip|leave)\b | ^\W*no\W*$ | \b(?:say|said)\s+no\b
    """,
    re.VERBOSE,
)
_CHINESE: Final = re.compile(
    r"""
      不能 | 无法 | 不可(?!或缺|避免|思议) | 不得(?!不|已) | 不被?.{0,8}允许
    | 不许 | 不准(?!确) | 禁止 | 不予
    | 拒绝 | 谢绝 | 婉拒 | 办不[了到] | 做不[了到] | 改不了
    | 不行 | 没(?:有)?办法 | 没法 | 不符合 | 违反
    | 没有权限 | 无权 | 未能 | 不支持 | 不给 | 不让 | (?:受|因).{0,8}限制 | 只有.{1,20}(?:才能|才可)
    | (?:没有?|未|不会|不再|不)(?:再|作|做|对.{1,16}?|为您|替您|给您|被|进行|任何|出)*
      (?:修改|更改|改动|改|变更|调整|取消|新建|创建|添加|调拨|设置|更新|处理|执行|办理|进行|动)
    | 不接受 | 没有?照?办(?!法) | 被拒 | 驳回 | 冲突 | 难从命 | 要求.{1,12}才[能可] | 仍为原 | 从命
    | 保持不变 | 维持(?:原|不变) | 原样(?:保留|不动) | 不能这么做 | 不作(?:修|更)
    """,
    re.VERBOSE,
)
# A clause that holds one of these declares no refusal.
_ENGLISH_HARMLESS: Final = re.compile(
    r"""
      \b(?:until|before|unless|without)\s+(?:you|your|i\s+have\s+your|a\s+yes|one\b|it\b|that\b)
    | \byet\b | \bif\s+(?:you|there|not)\b | \b(?:don't|do\s+not)\s+(?:hesitate|worry|mind)
    | \b(?:anything|nothing|everything|any|all|the|no|something)\s+(?:else|others?|further|rest)\b
    | \b(?:anybody|nobody|no\s+one)\b | \bany\s+more\b | \bno\s+(?:problem|issue|obstacle)
    | \b(?:beyond|besides|apart\s+from|other\s+than)\s+(?:that|this|it|what)\b
    | ^\W*(?:although|though|even\s+though|while)\b | \b(?:forbid|prohibit)\w*\b[^,]*\bonly\b
    | \bonly\s+(?:forbid|prohibit|exclud|concern|appl) | \bundone\b | \brever(?:t|s)ed\b
    | \bwould\s+(?:\w+\s+)?(?:forbid|prohibit)
    | (?:n't|\bnot|\bno|\bnone|\bnothing|\bneither)\b[^,;]*?
      \b(?:forbid|prohibit|violat|breach|exclud|appl(?:y|ies)|against|concern|break|prevent
      |stand)
    """,
    re.VERBOSE,
)
_CHINESE_HARMLESS: Final = re.compile(
    r"""
      其他 | 其它 | 别的 | 另外 | 还没 | 尚未 | 暂未
    | (?:确认|同意|答复|回复)(?:之?前|后) | 除非您 | 如果您?(?:没|不|看)
    | (?:不|并不|并未|并没有?|没有?(?:一条|任何)?(?:规则)?|未|不会|不受)
      (?:被|在|有)?(?:禁止|违反|适用|限制|受)
    | 没有一条 | 不违反 | 不受 | 无需 | 不需要 | 不必 | 除此之外 | 此外 | 虽然 | 尽管
    | [只仅](?:是)?(?:禁止|限制) | 没有(?:任何)?规则 | 撤[销回] | 恢复
    | 能不能 | 可不可以 | 是不是 | 缺少 | 不会再收到
    """,
    re.VERBOSE,
)
# A sentence with one of these tells of something that waits, or was done after all.
_WHOLE_HARMLESS = re.compile(
    r"\b(?:until|before|unless|without)\s+(?:you|your|one)\b"
    r"|\bso\s+(?:i|i've|i\s+have|we|the|your|its?)\s+(?!.*(?:not|n't|no)\b)[^,;]*"
    r"\b(?:chang|updat|creat|mov|add|set|went|did|done)(?!.*\b(?:unchanged|left|stays?|remains?))"
    r"|\bcondition\s+(?:was|is|does|did)\s*(?:n't|not)|条件(?:并)?不"
    r"|(?:所以|因此|故)(?!.*[未没不无])[^，。]*(?:已|了)"
)
_CLAUSE = re.compile(r"[;:；：–—]|,?\s+\b(?:but|so|because|since|although|and)\b|，|,(?=\s)")


# Who names a rule and says "not" refuses, in whatever words, unless it says what was done.
_NAMES_A_RULE = re.compile(
    r"\brules?\s*(?:no\.?|number|\#)?\s*\d|\b(?:service\s+)?policy\b|规则|规定|第\s*\d+\s*条"
)
_NEGATION = re.compile(
    r"(?:n't|\b(?:no|not|never|neither|nor|cannot|none))\b"
    r"(?!\s+(?:above|below|more|less|over|under|older|longer|relevant|matter|concern|affect|involve))"
    r"|[不没未非拒](?!高于|低于|超过|到|足|涉及|相关|影响|关闭|发货)"
)
_DONE = re.compile(
    r"\b(?:has|have|was|were|is|are|been|now|i|i've|we)\s+(?:now\s+|been\s+|also\s+|have\s+)*"
    r"(?:chang|updat|set\b|creat|mov|add|turn|made|done|complet|cancel)|\bdone\b|\bmay\b|\ballowed\b"
    r"|已经?(?:修改|改|更新|新建|设|创建|调拨|添加|完成|办)|可以|允许"
)


def refusing_clauses(text: str) -> list[str]:
    """The clauses that declare that something is not done."""
    found: list[str] = []
    for sentence in _sentences(text[:_LONGEST_TEXT]):
        if sentence.rstrip().endswith(("?", "？")) or _WHOLE_HARMLESS.search(sentence):
            continue
        harmless = _ENGLISH_HARMLESS.search(sentence) or _CHINESE_HARMLESS.search(sentence)
        for clause in _CLAUSE.split(sentence):
            english = _ENGLISH.search(clause) and not _ENGLISH_HARMLESS.search(clause)
            chinese = _CHINESE.search(clause) and not _CHINESE_HARMLESS.search(clause)
            if english or chinese:
                found.append(clause.strip())
        named = _NAMES_A_RULE.search(sentence) and _NEGATION.search(sentence)
        if not found and named and not harmless and not _DONE.search(sentence):
            found.append(sentence.strip())
    return found


@lru_cache(maxsize=512)
def refuses(text: str) -> bool:
    """Whether a message declares that something is not going to be done."""
    return bool(refusing_clauses(text))


def _sentences(text: str) -> list[str]:
    plain = text.casefold().replace("\u2019", "'")
    # The point of 96.50 ends no sentence.
    plain = re.sub(r"(?<=\d)\.(?=\d)", "\u2024", plain)
    return [
        found[:_LONGEST_SENTENCE] for found in re.findall(r"[^.!?。！？\n]+[.!?。！？]*", plain)
    ]

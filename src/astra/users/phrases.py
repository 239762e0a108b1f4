"""The wordings that `cues` looks for, in English and Chinese: one idea a line.

They are searched in single sentences of a message, in the form of `cues.plain`.
"""

from __future__ import annotations

import re


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_SPECIFY = "tell|specify|provide|give|confirm|share|clarify|state|enter|supply|send|name|choose"
_SPECIFY_ZH = "告诉|告知|提供|说明|确认|指定|明确|补充|给出|发给|选择"
_MADE = (
    "changed|updated|created|opened|moved|added|cancell?ed|deleted|removed|transferred|closed"
    "|registered|marked|applied|saved|issued|renamed|assigned|reassigned|switched|restored"
    "|reverted|upgraded|downgraded|raised|lowered|increased|reduced|extended|booked|rescheduled"
    "|refunded|recorded|adjusted|submitted|filed|shipped|turned (?:on|off)|enabled|disabled"
    "|corrected|replaced|modified|processed|handled|carried out"
)
_PUT = f"set|put|reset|undid|turned|made|made the change|took care|went ahead|gone ahead|{_MADE}"
_MADE_ZH = (
    "改|更新|设|调|创建|新建|新增|添加|登记|处理|办|开启|关[闭掉了]|开通|打开|取消|删除|移|换|恢复|还原|退"
    "|完成|生效|标记|提交|保存|转|撤销|延|推迟|提前|增加|减少|提高|降低|加|减|升|降|指派|分配|重命名|修正|执行|安排"
)
_MEANS = (
    "tools?|functions?|ways?|ability|access|options?|capability|capabilities|means|api|permissions?"
    "|methods?|functionality|toolset"
)
_MEANS_ZH = "工具|功能|办法|权限|接口|方法|途径|能力"

OPEN = _any(
    r"\b(?:what|which|who|whom|whose|where|when|how)\b",
    r"什么|哪|多少|几|谁|多长|多久|多大|多高|怎么|如何|何时|何处|何地|啥",
)
"""Asks for something rather than for yes or no."""

CLOSING = _any(
    r"\banything (?:else|more|further)\b",
    r"\b(?:is|was) there something else\b|\b(?:help|assist|do|need|like)\b[^.?!]* something else",
    r"\bany (?:other|further|more|additional) (?:question|request|change|help|concern|assistance)",
    r"\b(?:how|what) (?:else )?(?:can|may|could) I (?:else )?(?:help|assist|do for) you",
    r"\b(?:how|what) else\b",
    # "Let me know the new price" asks; "let me know if you need more" does not.
    r"\b(?:let me know|feel free|don't hesitate|reach out|just ask|drop me)\b"
    r"(?! (?:which|what|who|where|when|how|the|your|whether)\b)"
    r"(?![^.?!]*\b(?:go ahead|proceed|continue|which|what|how much|how many)\b)",
    r"还有(?:什么|其他|其它|别的)|(?:其他|其它|别的)(?:问题|需要|需求|要求|事|帮助|吩咐|可以)",
    r"还(?:需要?|要|用)我(?:再)?(?:为您|帮您|帮你|替您|替你)?(?:做|办|处理)(?:些|点)?(?:什么|啥)",
    r"(?:什么|啥)(?:是我)?(?:可以|能|需要我?)(?:帮|为|替|效劳)",
    r"(?:随时|欢迎)(?:再|都可以|可以|与|来)?(?:告诉|联系|找|吩咐|咨询|提出|问)",
    r"(?:如有|若有|如果有|有任何|如需|若需|如果还?需要)[^。？?]*(?:问题|需要|帮助|随时|协助)",
    r"(?:进一步|更多)的?(?:帮助|协助)",
)
"""Offers more help. It asks nothing."""

ASKING = _any(
    rf"\b(?:please|kindly) (?:{_SPECIFY})\b",
    rf"\b(?:could|can|would|will) you (?:please |kindly )?(?:{_SPECIFY}|let me know)\b",
    r"\b(?:let me know|tell me|know) (?:which|what|how|when|where|who|the|your|whether)\b",
    r"\b(?:need|require|missing)\b[^.!?]*\b(?:information|details?|info)\b",
    r"\bI(?:'d| would| will|'ll)?(?: just| still| also| only)? (?:need|require)"
    r" (?:to know|the|your|one|a few|some|a new|more|another)\b",
    r"\b(?:what|which|who|where) (?:\w+ ){0,6}"
    r"(?:should|would|do|shall|is|are) (?:I|you|it|the|we)\b",
    rf"(?:请|麻烦|烦请|劳驾)(?:您|你)?(?:先|再|把[^。？?]*)?(?:{_SPECIFY_ZH})",
    rf"(?:需要|得|要)(?:请)?(?:您|你)(?:先|再)?(?:{_SPECIFY_ZH})|需要知道|还差|还缺|(?:您|你)报",
    r"\b(?:haven't|didn't|have not|did not) (?:tell|told|say|said|give|given|specif|mention|state)",
    r"(?:您|你)(?:还|并|尚)?(?:没有?|未)(?:告诉|说明|提到|提供|指定|给出)|请(?:您|你)?(?:再|重新)?发(?:一|来|送|给)",
    r"(?:是|要|想|需|为|成|到)(?:什么|多少|哪|几)|请问|想问|能否",
)
"""Asks without a question mark, too."""

SUPPLYING = _any(
    r"\b(?:you|please|kindly)(?: please| kindly| also)?"
    r" (?:tell|give|provide|share|send|supply|specify"
    r"|describe|repeat|clarify|explain|name)\b(?! (?:me )?the (?:green|go-ahead|ok))",
    r"\b(?:may|can|could) I (?:please )?(?:have|get|ask)\b",
    r"告诉|告知|提供|说明|指定|给出|描述|再说|发给",
)
"""Asks to be told something, whatever is said with it ("好吗")."""

NEW_VALUE = _any(
    # The new one, whatever it is called.
    r"\b(?:the|your|its|his|her|their|a|what's|which|what) new \w+",
    # What should it be, where should it go; but "which one should I use" is about a row.
    r"\b(?:what|which|who|where|when|how)\b[^.?!]*\bshould\b"
    r"(?! I (?:do|use|look|check|start|take|pick|choose|work|search)\b)",
    # What would you like it to be, how many do you want; but not "which order shall I change".
    r"\b(?:what|which|who|where|when|how \w+)\b[^.?!]*"
    r"(?:\bwould you (?:like|prefer)|\bdo you (?:want|prefer|have in mind)"
    r"|\byou(?:'d| would) (?:like|prefer)|\byou want)\b"
    r"(?![^.?!]*\b(?:to do|changed?|updated?|cancel|modify|edit|use|see|know|mean)\b\W*$)",
    r"\b(?:change|update|set|move|adjust|switch|raise|lower|rename)d? (?:it|this|that)? ?to\b",
    r"\b(?:what|which) to (?:change|set|update|enter|put|write|use as)\b",
    r"(?:改|换|设|调|移|延|延长|转|放|定|推进|更新|调整|变更|分|搬|挪|存|记)(?:成|为|到|至|在|给|去|入)"
    r"[^,。?]{0,8}(?:什么|多少|哪|几|谁|何)|写(?:什么|啥|哪)",
    r"(?:想|希望|打算|要)(?!的是|找|查)(?!(?:修改|更改|取消|改动|操作|查询|改|处理|办理)哪)"
    r"[^,。?]{0,14}(?:什么|多少|哪|几|谁|怎么)",
    r"(?<![重最更全])新(?!建|增|添|开|创)的?",
    r"\bhow (?:many|much|long)\W*\?",
    r"(?:多少|几)(?:件|个|元|钱|人|天|小时|次|位|块)|多久|多长",
)
"""Asks for the value that something is to have, without its name."""

LEAVE = _any(
    r"\b(?:shall|should|may|can) I\b(?! (?:ask|have|get|know|help|assist|see|find|look|suggest)\b)",
    r"\b(?:want|like|happy|okay|ok|fine) (?:for )?me to\b|\b(?:okay|ok|all right|fine|mind) if I\b",
    r"^\W*(?:so,? )?(?:proceed|continue|go ahead|apply|approve|confirm)\b[^.]*\?",
    r"\b(?:do|would) you (?:agree|approve|consent|authori[sz]e|allow)\b",
    # Any other yes-or-no question about what the agent does.
    r"\bI\b(?! (?:speak|talk|understand))[^.?!]*\?",
    r"我[^。?]*\?|(?:确定|同意)[^。?]*\?|没意见|允许|批准|授权|行不行|可不可以|好不好|对不对|要不要",
    r"\b(?:is|are|was|does) (?:that|this|it|everything|all|these|those)(?: all)?"
    r" (?:correct|right|ok(?:ay)?|fine|good|accurate|acceptable)\b",
    r"\bconfirm(?!ed|ing|s)\b|\byour (?:confirmation|approval|permission|consent|okay|go-ahead)\b",
    r"\b(?:correct|right|ok(?:ay)?|fine|good|proceed|continue|go ahead|yes)\W*\?",
    r"\bare you (?:sure|happy|okay|ok|fine|certain)\b|\bam I right\b|\bsound(?:s)? good\b",
    r"\b(?:reply|say|answer|type|respond)\b[^.?!]{0,12}(?:\b(?:yes|the word|ok|confirm)\b|\"\")",
    r"\bready to (?:go|proceed)\?|\bgreen light\b|\bgive (?:me )?the go-ahead\b",
    r"\blet me know\b[^.?!]*\b(?:go ahead|proceed|continue)\b",
    r"(?:可以|行|好|对|确认|确定|正确|没错|没问题|同意|妥当|合适|无误)(?:吗|么|吧)",
    r"(?:可以|能)(?:现在|马上|立即)?(?:开始|继续|办理|执行|提交)[^。？?]*(?:吗|么)",
    r"是否(?:确认|确定|继续|同意|需要我|要|可以|正确|无误|现在|立即|执行|办理|批准)",
    r"(?:需要|要|让)我(?:现在|立即|马上|这就|帮|为|替|来|把|将|继续|直接)[^。？?]*(?:吗|么)",
    r"(?:请|麻烦)(?:您|你)?(?:再次|再|先|核对并)?(?:核对|确认)",
    r"(?:您|你)(?:确定|确认)[^。？?]*(?:吗|么|[?？])|回复[^。？?]{0,3}(?:确认|是|好|可以)",
)
"""Asks for leave to do what was asked for."""

CANNOT = _any(
    r"\b(?:can(?:no|')t|can not|could(?:n't| not)|unable to|(?:not|n't)(?: be)? able to)\b"
    r"(?! (?:find|locate|see|identify|tell|guess|be undone|undo|be reversed|be reverted"
    r"|(?:proceed|continue|go ahead|do (?:this|that|it)) (?:without|until|before|yet)))",
    rf"\b(?:no|not any|without an?|lacks?|missing|none of (?:the|my))"
    rf" (?:\w+[ -]){{0,4}}?(?:{_MEANS})\b",
    rf"\b(?:n't|not) (?:have|offer|provide|include|give|see|find|contain|possess)\b"
    rf"[^.!?,;]{{0,40}}?\b(?:{_MEANS})\b",
    rf"n't (?:\w+ )?(?:have|offer|provide|include|give|see|find|contain|a|an|any"
    r"|appear to be|seem to be)\b"
    rf"[^.!?,;]{{0,40}}?\b(?:{_MEANS})\b",
    rf"\b(?:{_MEANS})\b[^.!?]{{0,40}}?(?:n't|not) (?:\w+ )?"
    r"(?:have|available|provided|exist|given)\b",
    rf"\b(?:{_MEANS})\b[^.!?]{{0,40}}?\b(?:is|are) (?:missing|lacking|unavailable)\b",
    rf"\b(?:{_MEANS}|they|system)\b[^.!?]{{0,20}}?(?:n't|not) (?:allow|let|permit|support|enable"
    r"|include|cover|offer|extend)\b",
    r"\b(?:only (?:allows?|lets?|permits?|have|has)|(?:have|has) only)\b"
    r"[^.!?]*\b(?:read|look|view|search)",
    r"\bonly reads?\b|\bread-only\b|\bimpossible\b|\bunsupported\b|\boff the table\b",
    r"(?:n't|\bnot)(?: \w+)? (?:possible|supported|available|permitted|doable|equipped|set up"
    r"|allowed|authori[sz]ed|designed|feasible|in a position)\b",
    r"\b(?:not|n't) (?:something|anything)(?: that)? I(?:'m| can| am)\b",
    r"\bnone (?:that|which) (?:can|would|could|allows?|lets?)\b",
    r"\b(?:beyond|outside|exceeds)(?: of)? (?:my|the|what)\b|\bout of (?:my|scope|reach)\b",
    r"\b(?:have|had) to decline\b|\bmust decline\b",
    r"无法(?!恢复|撤销|撤回|找到|查到|复原)|不能(?!为空|恢复|撤销|撤回|确定|找到)",
    r"没法|[办做帮][不][到了成上]|[\u4e00-\u9fff]不了(?!解|多)|未能(?!找|查)|没能(?!找|查)",
    r"不支持|无能为力|恐怕不行|不可行|不足以|不可能",
    rf"没有?(?:[^。，,；;]{{0,14}})(?:{_MEANS_ZH})|没有(?:一个|任何一个)?(?:能够|可以)",
    rf"(?:缺少|缺乏|不具备|未提供|不提供|不包含|无)(?:[^。，,；;]{{0,14}})(?:{_MEANS_ZH}|这一项)",
    rf"超出[^。，,；;]{{0,8}}(?:范围|{_MEANS_ZH})|不在[^。，,；;]{{0,8}}(?:范围|{_MEANS_ZH})",
)
"""Says that something can't be done, or that a tool for it is missing."""

DONE = _any(
    r"\b(?:done|completed|complete|finished|all set|succeeded|successful|successfully)\b",
    r"\b(?:in place|in effect|taken care of|sorted|went through|gone through)\b",
    rf"(?<!\bto )(?<!\()\b(?:{_MADE})\b(?!\))\W*(?::|!|\.?$)|\beffective immediately\b",
    rf"\b(?:has|have|had|was|were|been|got)(?: (?:now|also|just|both|all|been|successfully))*"
    rf" (?:set|put|reset|{_MADE})\b",
    r"\b(?:is|are) (?:now|cancell?ed|closed|deleted|back to)\b",
    r"\bnow (?:has|have|holds|reads|shows)\b",
    rf"\bI(?:'ve| have)?(?: (?:now|also|just|then|already|successfully|therefore|simply))*"
    rf" (?:{_PUT})\b",
    rf"\b(?:so|and) (?:set|{_MADE})\b|^[-•\d.)\s]*(?:successfully )?(?:{_MADE})\b",
    rf"(?<![为成])已(?:经)?[^。！？?!，；;找查看]{{0,40}}(?:{_MADE_ZH})",
    rf"(?:{_MADE_ZH}|操作|设置|弄|做)(?:好|妥|完|完毕|完成|成功)(?!之后|后|的话|吗)",
    r"我(?:已|已经)?(?:把|将|为您|给您)[^。？?]{0,40}了|完成了|[改设换调]为了",
    r"现(?:在)?(?:为|是)(?!否|什么|多少|哪)|请查收|搞定",
)
"""Claims that something was done."""

NOT_YET = _any(
    r"\b(?:once|as soon as|until|will|'ll|going to|about to|would|if|should|must|be)\b",
    r"\b(?:nothing(?! else)|not|never|no)\b|n't\b",
    r"将要|准备|打算|即将|如果|的话|一旦|无法|不能|没有(?:成功|改|完成|做|办)|未(?!到)",
)
"""Says that it was not, or only later."""

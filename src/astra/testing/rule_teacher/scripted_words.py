"""What the scripted agent says, in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from astra.types import Language


@dataclass(frozen=True, slots=True)
class ScriptedWords:
    """Templates of one language."""

    begin: str
    later: str
    go_on: str
    again: str
    done: str
    returned: str
    shortened: str
    failed: str
    not_called: str
    needs: str
    nothing: str
    ask: str
    comma: str
    last: str

    def joined(self, names: Sequence[str]) -> str:
        """Names as one enumerates them."""
        quoted = [f"`{name}`" for name in dict.fromkeys(names)]
        if len(quoted) < 2:
            return "".join(quoted)
        return self.comma.join(quoted[:-1]) + self.last + quoted[-1]


WORDS: Mapping[Language, ScriptedWords] = {
    "en": ScriptedWords(
        begin="To do what you ask, I call {names} first.",
        later=" With what comes back, I go on with {names}.",
        go_on="With these results I call {names}.",
        again="A call failed in passing, so I try {names} once more.",
        done="Here is what the tools say:",
        returned="- `{tool}` returned: {result}",
        shortened="- `{tool}` returned a long result, which begins: {result}",
        failed="- `{tool}` failed: {error}",
        not_called="- `{tool}` could not be called: {reason}",
        needs="it needs what {call} did not return",
        nothing="I find nothing in this request that my tools could do.",
        ask="One thing is missing for that: which one do you mean?",
        comma=", ",
        last=" and ",
    ),
    "zh": ScriptedWords(
        begin="为完成您的请求，我先调用 {names}。",
        later="拿到结果后，再调用 {names}。",
        go_on="根据这些结果，我接着调用 {names}。",
        again="有调用暂时失败，我再试一次 {names}。",
        done="工具返回的内容如下：",
        returned="- `{tool}` 返回：{result}",
        shortened="- `{tool}` 返回的内容很长，开头是：{result}",
        failed="- `{tool}` 失败：{error}",
        not_called="- 无法调用 `{tool}`：{reason}",
        needs="缺少 {call} 的结果",
        nothing="这个请求里没有我的工具能做的事。",
        ask="要做这件事还缺一项信息：您指的是哪一个？",
        comma="、",
        last=" 和 ",
    ),
}

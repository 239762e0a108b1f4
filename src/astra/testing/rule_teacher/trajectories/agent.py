"""The rule teacher as an agent: it reads the plan out of a request that it worded itself.

For `--model rules` over the teacher server, which sees the conversation and the tools alone. What
it can't read, it says it can't do; it calls nothing by guess.
"""

from __future__ import annotations

from collections.abc import Sequence

from astra.protocols import Reply, Sampling
from astra.teacher.prompts.chains import ShownTool
from astra.testing.rule_teacher.scripted_agent import ScriptedAgent
from astra.testing.rule_teacher.trajectories.telling import read_request
from astra.trajectories.records import ArgumentSource, PlannedCall
from astra.types import Language, Message, ToolSchema

_LANGUAGES: tuple[Language, ...] = ("en", "zh")


class RuleAgent:
    """A model that plays requests of the rule teacher, whatever the task is."""

    @property
    def name(self) -> str:
        return "rules"

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """As the scripted agent with the plan that the user's words hold."""
        said = [message.content for message in messages if message.role == "user"]
        plan, language = read_plan(said, tools)
        return await ScriptedAgent(plan, language, self.name).generate(messages, tools, sampling)


def read_plan(
    said: Sequence[str], tools: Sequence[ToolSchema]
) -> tuple[tuple[PlannedCall, ...], Language]:
    """The plan in the last of a user's messages that holds one; an empty one if none does."""
    shown = [
        ShownTool(
            name=tool.name, description=tool.description, parameters=tool.parameters, returns={}
        )
        for tool in tools
    ]
    for text in reversed(said):
        for language in _LANGUAGES:
            steps = read_request(text, shown, language)
            if steps is None:
                continue
            plan = tuple(
                PlannedCall(
                    id=f"c{number}",
                    tool=step.tool,
                    arguments={
                        name: ArgumentSource(value=argument.value)
                        if argument.step is None
                        else ArgumentSource(call=f"c{argument.step}", field=argument.field)
                        for name, argument in step.arguments.items()
                    },
                    depends_on=tuple(f"c{need}" for need in step.needs),
                )
                for number, step in enumerate(steps, start=1)
            )
            return plan, language
    chinese = any("\u4e00" <= character <= "\u9fff" for text in said for character in text)
    return (), "zh" if chinese else "en"

"""Several teachers that look like one, each asked what it knows."""

from __future__ import annotations

from collections.abc import Mapping

from astra.errors import TeacherError
from astra.teacher.prompt import In, Out, Prompt, Teacher


class SeveralTeachers:
    """One teacher in front of several, by the prompt's name. TeacherError for a prompt of none."""

    def __init__(self, name: str, by_prompt: Mapping[str, Teacher]) -> None:
        self._name = name
        self._by_prompt = dict(by_prompt)

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
        """The answer of the teacher that the prompt belongs to."""
        teacher = self._by_prompt.get(prompt.name)
        if teacher is None:
            raise TeacherError(f"{self._name!r} has no teacher for the prompt {prompt.name!r}")
        return await teacher.ask(prompt, task, index=index)

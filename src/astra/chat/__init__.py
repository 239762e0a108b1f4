"""How families of models spell a conversation with tools: rendered to text, and read back."""

from astra.chat.dialects import DIALECTS, AssistantTurn, ChatDialect

__all__ = ["DIALECTS", "AssistantTurn", "ChatDialect"]

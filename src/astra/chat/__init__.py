"""How families of models spell a conversation with tools: rendered to text, and read back."""

from astra.chat.families import CHAT_FAMILIES, ChatFamily

__all__ = ["CHAT_FAMILIES", "ChatFamily"]

"""How families of models spell a conversation with tools: rendered to text, and read back."""

from astra.dialects.dialect import DIALECTS, Dialect, Said

__all__ = ["DIALECTS", "Dialect", "Said"]

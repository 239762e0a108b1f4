"""Typed questions to a teacher: what is asked, by which template, and what must come back."""

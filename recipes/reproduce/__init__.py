"""Comparisons of ways to train: arms × seeds, each a run of its own, and what they came to."""

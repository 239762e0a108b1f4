"""Conversations of other programs as rollouts of a run folder, to be judged and exported."""

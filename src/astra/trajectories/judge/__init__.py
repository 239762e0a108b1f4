"""Judging trajectories: seven scores, from the record where it says, else from a teacher.

What this does not guarantee: that a teacher's judgement is right. Judges of one model share its
blind spots, and what is checked mechanically is named in `mechanical`.
"""

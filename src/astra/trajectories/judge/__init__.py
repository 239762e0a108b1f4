"""Judging trajectories: seven scores, from the record where it decides, else from a teacher.

What this does not guarantee: that a teacher's judgement is right. Judges of one model share its
blind spots; `rule_checks` names what is checked without a model.
"""

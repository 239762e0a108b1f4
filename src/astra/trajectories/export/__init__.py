"""Judged rollouts as a data set: rows, splits, checks and a data card."""

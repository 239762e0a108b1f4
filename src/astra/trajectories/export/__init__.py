"""Judged rollouts as a data set: rows, splits, checks and a data card."""

from astra.trajectories.export.dataset import ExportOptions, ExportResult, export

__all__ = ["ExportOptions", "ExportResult", "export"]

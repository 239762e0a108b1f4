"""Judged rollouts as a data set: rows, splits, checks and a data card."""

from astra.trajectories.export.dataset import Exported, ExportOptions, export

__all__ = ["ExportOptions", "Exported", "export"]

"""Relative tolerances of numbers in targets."""

TOOL_ROUNDING = 1e-6
"""Tools round to six decimals."""
FINAL_ROUNDING = 5e-3
"""People round measurements in a final answer."""

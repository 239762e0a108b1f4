"""Counters of the server, written in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the histogram of calls."""


class ServerMetrics:
    """What the server has done since it started."""

    def __init__(self) -> None:
        self.opened = 0
        """Sessions."""
        self.refused = 0
        """Sessions that did not fit under the cap."""
        self.ended: Counter[str] = Counter()
        """Episodes by why they ended."""
        self.calls: Counter[str] = Counter()
        """Calls by status."""
        self._buckets = [0] * (len(_SECONDS) + 1)
        self._seconds = 0.0

    def add_call(self, status: str, seconds: float) -> None:
        self.calls[status] += 1
        self._buckets[bisect_left(_SECONDS, seconds)] += 1
        self._seconds += seconds

    def text(self, open_sessions: int, most_sessions: int) -> str:
        """The metrics now."""
        lines = [
            *_lines("sessions_open", "gauge", "Sessions that are played now.", open_sessions),
            *_lines("sessions_limit", "gauge", "Most sessions at once.", most_sessions),
            *_lines("sessions_opened_total", "counter", "Sessions opened.", self.opened),
            *_lines("sessions_refused_total", "counter", "Sessions over the limit.", self.refused),
            *_labelled("episodes_ended_total", "Episodes by why they ended.", "stop", self.ended),
            *_labelled("calls_total", "Tool calls by status.", "status", self.calls),
            "# HELP astra_call_seconds Time of a tool call on the server.",
            "# TYPE astra_call_seconds histogram",
        ]
        total = 0
        for bound, count in zip((*_SECONDS, "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'astra_call_seconds_bucket{{le="{bound}"}} {total}')
        lines += [f"astra_call_seconds_sum {self._seconds}", f"astra_call_seconds_count {total}"]
        return "\n".join(lines) + "\n"


def _lines(name: str, kind: str, text: str, value: int) -> list[str]:
    return [f"# HELP astra_{name} {text}", f"# TYPE astra_{name} {kind}", f"astra_{name} {value}"]


def _labelled(name: str, text: str, label: str, counts: Counter[str]) -> list[str]:
    head = [f"# HELP astra_{name} {text}", f"# TYPE astra_{name} counter"]
    # Labels are names of closed sets, which need no escaping.
    return head + [f'astra_{name}{{{label}="{key}"}} {counts[key]}' for key in sorted(counts)]

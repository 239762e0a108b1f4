"""Peak memory of a process, for figures."""

from __future__ import annotations

from pathlib import Path


def peak_mib(process: int | str = "self") -> int:
    """Most memory that a process has had at once since its program began, in MiB.

    Linux only: `VmHWM` of /proc/PROCESS/status.
    """
    # Not ru_maxrss: it outlives exec, so that a child would tell the peak of whoever started it.
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise OSError(f"the kernel tells no VmHWM in /proc/{process}/status")

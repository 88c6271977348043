"""Lines of the table, and what the machine is."""

import dataclasses
import os
import platform


@dataclasses.dataclass
class Line:
    """One figure: what, how much, what to reach."""

    row: str
    what: str
    value: str
    to_reach: str = ""
    met: bool | None = None  # None: there is no target, or its yardstick is missing
    failed: bool = False
    figures: dict = dataclasses.field(default_factory=dict)

    def verdict(self):
        if self.failed:
            return "FAILED"
        return {True: "yes", False: "NO", None: "-"}[self.met]

    def in_one_line(self):
        target = f" (to reach: {self.to_reach}: {self.verdict()})" if self.to_reach else ""
        return f"{self.what}: {self.value}{target}"


def failure(row, error):
    return Line(row, row, f"not measured: {type(error).__name__}: {error}", failed=True)


def two_cores():
    """Keeps this process and its children on two cores, as the targets are stated for, and describes the machine."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[:2])
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return {
        "cores_used": min(2, len(allowed)),
        "cores": os.cpu_count(),
        "processor": model,
        "kernel": platform.release(),
        "load_before": round(load, 2),
    }


def percentile(samples, share):
    """The nearest-rank percentile; the largest sample for share 1."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    rank = max(0, min(len(ordered) - 1, -(-len(ordered) * share // 1) - 1))
    return ordered[int(rank)]


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def megabytes(count):
    return f"{count / 1e6:.0f} MB"


def table(machine, lines):
    head = (
        f"{machine['processor']}, {machine['cores_used']} of {machine['cores']} cores, Linux {machine['kernel']}, "
        f"load before the run {machine['load_before']}"
    )
    if machine["load_before"] > 0.5:
        head += ": the machine was busy, which makes every figure worse"
    rows = [("what", "measured", "to reach", "met")]
    rows += [(line.what, line.value, line.to_reach or "-", line.verdict()) for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([head, ""] + text)


def as_json(machine, lines):
    return {
        "machine": machine,
        "lines": [
            {"row": l.row, "what": l.what, "value": l.value, "to_reach": l.to_reach, "met": l.met, "failed": l.failed} | l.figures
            for l in lines
        ],
    }

"""Figures of a run, and the tables that are made of them."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

Key = tuple[str, str]
"""A contestant and a workload, by their names."""


@dataclass
class Report:
    """What was measured: rates of each round in the order of the rounds, peak memory in bytes."""

    rates: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    def table(self, contestants: list[str], workloads: list[str]) -> str:
        """A row for each contestant: median (least-most) of each workload, peak memory of its largest process."""
        rows = [["", *workloads, "peak MB"]]
        for name in contestants:
            if name in self.missing:
                continue
            cells = [spread(self.rates.get((name, workload), []), 0) for workload in workloads]
            rows.append([name, *cells, f"{self.peaks.get(name, 0) / 1e6:.0f}"])
        lines = [f"{name} is missing: {self.missing[name]}" for name in contestants if name in self.missing]
        return "\n".join([aligned(rows), *lines])

    def ratios(self, name: str, peers: list[str], workloads: list[str]) -> str:
        """A row for each peer: how many times its rate that of `name` is, by pairs of the same round."""
        rows = [["", *workloads]]
        for peer in peers:
            if peer not in self.missing and name not in self.missing:
                rows.append([peer, *(spread(self.pairs(name, peer, workload), 2) for workload in workloads)])
        return aligned(rows)

    def pairs(self, name: str, peer: str, workload: str) -> list[float]:
        ours, theirs = self.rates.get((name, workload), []), self.rates.get((peer, workload), [])
        return [a / b for a, b in zip(ours, theirs, strict=False)]


def spread(values: list[float], digits: int) -> str:
    if not values:
        return "-"
    least, middle, most = (f"{value:.{digits}f}" for value in (min(values), median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({least}-{most})"


def say_load(loads: list[float]) -> None:
    """What tells a reader how far the figures can be trusted: load averages before and after the measurement."""
    print(f"\nload of the machine {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} processors")


def aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )

"""`make benchrendering`: claims beside a bare queue, frames through a farm beside bare messages.

All that is compared is measured in this run on this machine, by turns; a figure alone says little, a ratio does.
"""

import argparse
import os
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.uploads.report import aligned, say_load, spread
from benchmarks.uploads.yuntu import Platform

if TYPE_CHECKING:
    from benchmarks.rendering.corpus import Size

REPOSITORY = Path(__file__).resolve().parents[2]
CLAIM_GOAL, FLAT_GOAL, DISPATCH_GOAL, FIRST_GOAL = 0.3, 1.5, 0.25, 1.0
EVENTS_GOAL = 2.1


def verdict(is_met: bool) -> str:
    return "yes" if is_met else "NO"


def measure_claims(seconds: float, rounds: int) -> list[list[str]]:
    from benchmarks.rendering import claims, corpus
    from benchmarks.rendering.corpus import Size

    sizes = [Size(100, 100, 100), Size(100, 1000, 100_000), Size(100, 10_000, 100_000)]
    ours: dict[Size, list[float]] = {size: [] for size in sizes}
    bare: dict[Size, list[float]] = {size: [] for size in sizes}
    for _round in range(rounds):
        for size in sizes:
            node = corpus.fill(size)
            claims.make_queue()
            # Half before, half after: the load of the machine changes meanwhile.
            before = claims.rate(claims.bare_turn, seconds / 2)
            ours[size].append(claims.rate(claims.turn_of(node), seconds))
            bare[size].append((before + claims.rate(claims.bare_turn, seconds / 2)) / 2)
    alone, beside = measure_claims_alone(sizes[1], seconds, rounds)
    rows = [["8 claimers", "a second", "bare queue", "ratio", f"goal {CLAIM_GOAL}"]]
    shares = [a / b for a, b in zip(alone, beside, strict=True)]
    met = verdict(median(shares) >= CLAIM_GOAL)
    rows.append([f"claims: {sizes[1]}", spread(alone, 0), spread(beside, 0), spread(shares, 2), met])
    ratios = {size: [a / b for a, b in zip(ours[size], bare[size], strict=True)] for size in sizes}
    for size in sizes:
        met = verdict(median(ratios[size]) >= CLAIM_GOAL)
        name = f"claims and their ends: {size}"
        rows.append([name, spread(ours[size], 0), spread(bare[size], 0), spread(ratios[size], 2), met])
    few, *more = (median(ratios[size]) for size in sizes)
    for size, ratio in zip(sizes[1:], more, strict=True):
        factor = few / ratio
        name = f"how much slower with {size.jobs:,} jobs than with {sizes[0].jobs}"
        rows.append([name, "", "", f"{factor:.2f}", f"< {FLAT_GOAL}: {verdict(factor < FLAT_GOAL)}"])
    return rows


def measure_claims_alone(size: "Size", seconds: float, rounds: int) -> tuple[list[float], list[float]]:
    """Claims a second without their ends, beside a bare queue that does take and finish."""
    from benchmarks.rendering import claims, corpus
    from rendering.models import ConcurrencyLimit

    ours, bare = [], []
    for _round in range(rounds):
        node = corpus.fill(size)
        # Limits are counted and looked at as ever, but not reached.
        ConcurrencyLimit.objects.update(maximum=size.frames)
        claims.make_queue()
        before = claims.rate(claims.bare_turn, seconds / 2)
        ours.append(claims.rate(claims.claim_turn_of(node), seconds))
        bare.append((before + claims.rate(claims.bare_turn, seconds / 2)) / 2)
    return ours, bare


def measure_dispatch(frames: int, tasks: int, rounds: int, logs: Path) -> list[list[str]]:
    from benchmarks.rendering import corpus, dispatch

    corpus.clear()
    user, scene = dispatch.studio()
    chunks = {1: frames // 10, 10: frames, 50: frames, 100: frames, None: frames}
    raw: list[float] = []
    rates: dict[int | None, list[float]] = {chunk: [] for chunk in chunks}
    first: list[float] = []
    for _round in range(rounds):
        raw.append(dispatch.raw_rate(tasks, logs))
        with dispatch.farm(logs):
            dispatch.frame_rate(user, scene, 8, 1)
            first += [dispatch.first_frame_seconds(user, scene) for _time in range(3)]
            for chunk, count in chunks.items():
                rates[chunk].append(dispatch.frame_rate(user, scene, count, chunk))
    rows = [
        [
            "no-op frames, submit to end, 2 nodes of 2 slots",
            "a second",
            "bare tasks",
            "ratio",
            f"goal {DISPATCH_GOAL}",
        ]
    ]
    for chunk, count in chunks.items():
        ratios = [a / b for a, b in zip(rates[chunk], raw, strict=True)]
        met = verdict(median(ratios) >= DISPATCH_GOAL)
        size = f"{chunk} an attempt" if chunk else "as many an attempt as the farm chooses"
        name = f"{count:,} frames, {size}"
        rows.append([name, spread(rates[chunk], 0), spread(raw, 0), spread(ratios, 2), met])
    met = f"< {FIRST_GOAL:.0f}: {verdict(median(first) < FIRST_GOAL)}"
    rows.append(["submit to first frame running, s", spread(first, 2), "", "", met])
    return rows


def measure_events(frames: int, seconds: float) -> list[list[str]]:
    from benchmarks.rendering import events

    found = events.burst(frames, seconds)
    name = f"{found.frames:,} frames of a job in {found.seconds:.1f} s"
    rows = [[name, "events", "a second", "", f"goal {EVENTS_GOAL}"]]
    for kind, count in (("task:progress", found.progress), ("task:log", found.log)):
        rate = count / found.seconds
        met = verdict(rate <= EVENTS_GOAL and found.is_whole)
        rows.append([f"{kind}, and the last one tells the end", str(count), f"{rate:.2f}", "", met])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make benchrendering", description=__doc__)
    var = Path(os.environ.get("YUNTU_VAR") or REPOSITORY / "var")
    parser.add_argument("--scratch", type=Path, default=var / "bench", help="where the database is kept")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", choices=["claims", "dispatch", "events"], help="a part of it")
    arguments = parser.parse_args()
    platform = Platform(arguments.scratch.resolve())
    platform.env["SIMULATED_ENGINE"] = "1"
    rounds = 1 if arguments.quick else 3
    loads = [os.getloadavg()[0]]
    tables = []
    try:
        platform.start()
        os.environ.update(platform.env)
        import django

        django.setup()
        if arguments.only in (None, "events"):
            tables.append(measure_events(1000 if arguments.quick else 10_000, 2 if arguments.quick else 10))
        if arguments.only in (None, "claims"):
            tables.append(measure_claims(2 if arguments.quick else 5, rounds))
        if arguments.only in (None, "dispatch"):
            frames, tasks = (1000, 1000) if arguments.quick else (2000, 3000)
            tables.append(measure_dispatch(frames, tasks, rounds, platform.layout.logs))
        loads.append(os.getloadavg()[0])
    finally:
        platform.stop()
    for table in tables:
        print(f"\n{aligned(table)}")
    say_load(loads)


if __name__ == "__main__":
    main()

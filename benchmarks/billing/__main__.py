"""`make benchbilling`: money moved by eight threads beside the bare statements, and the audit of a million entries.

All that is compared is measured in this run on this machine, by turns; a figure alone says little, a ratio does.
"""

import argparse
import os
from decimal import Decimal
from pathlib import Path
from statistics import median

from benchmarks.uploads.report import aligned, say_load, spread
from benchmarks.uploads.yuntu import Platform

REPOSITORY = Path(__file__).resolve().parents[2]
MOVE_GOAL, AUDIT_GOAL = 0.5, 10.0


def verdict(is_met: bool) -> str:
    return "yes" if is_met else "NO"


def measure_moves(seconds: float, rounds: int) -> list[list[str]]:
    from benchmarks.billing import moves

    rows = [["8 threads", "a second", "bare statements", "ratio", f"goal {MOVE_GOAL}", "lost"]]
    for count, name in ((1, "one hot wallet"), (1000, "1,000 wallets")):
        ours: list[float] = []
        bare: list[float] = []
        lost = Decimal(0)
        for _round in range(rounds):
            # Half before, half after: the load of the machine changes meanwhile.
            moves.make_bare()
            before, _count = moves.rate(moves.bare(count), seconds / 2)
            rows_of_ours = moves.wallets(count)
            rate, moved = moves.rate(moves.entries(rows_of_ours), seconds)
            moves.make_bare()
            after, _count = moves.rate(moves.bare(count), seconds / 2)
            ours.append(rate)
            bare.append((before + after) / 2)
            lost += moved * moves.FEN - moves.balance_of(rows_of_ours)
        ratios = [a / b for a, b in zip(ours, bare, strict=True)]
        met = verdict(median(ratios) >= MOVE_GOAL)
        rows.append([f"entries: {name}", spread(ours, 0), spread(bare, 0), spread(ratios, 2), met, str(lost)])
    return rows


def measure_jobs(seconds: float) -> list[list[str]]:
    from benchmarks.billing import moves

    rows = [["8 threads", "a second"]]
    for count, name in ((1, "one hot wallet"), (1000, "1,000 wallets")):
        rate, _count = moves.rate(moves.jobs(moves.fund(moves.wallets(count))), seconds)
        rows.append([f"hold, capture, release, bill: {name}", f"{rate:.0f}"])
    return rows


def measure_audit(entries: int) -> list[list[str]]:
    from benchmarks.billing import moves
    from billing.models import LedgerEntry

    spent = moves.audit_seconds(entries)
    name = f"audit of {LedgerEntry.objects.count():,} entries, s"
    met = f"< {AUDIT_GOAL:.0f}: {verdict(spent < AUDIT_GOAL)}"
    return [["the ledger", "", f"goal {AUDIT_GOAL:.0f}"], [name, f"{spent:.1f}", met]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make benchbilling", description=__doc__)
    var = Path(os.environ.get("YUNTU_VAR") or REPOSITORY / "var")
    parser.add_argument("--scratch", type=Path, default=var / "bench", help="where the database is kept")
    parser.add_argument("--quick", action="store_true", help="one short round, a tenth of the entries")
    arguments = parser.parse_args()
    platform = Platform(arguments.scratch.resolve())
    loads = [os.getloadavg()[0]]
    try:
        platform.start()
        os.environ.update(platform.env)
        import django

        django.setup()
        tables = [measure_moves(2 if arguments.quick else 6, 1 if arguments.quick else 3)]
        tables.append(measure_jobs(2 if arguments.quick else 6))
        tables.append(measure_audit(100_000 if arguments.quick else 1_000_000))
        loads.append(os.getloadavg()[0])
    finally:
        platform.stop()
    for table in tables:
        print(f"\n{aligned(table)}")
    say_load(loads)


if __name__ == "__main__":
    main()

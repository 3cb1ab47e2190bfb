"""`make benchdrives`: what the doors of a drive of a million files cost the database, in time and statements.

A request goes through the whole of the API in this process; the time of its statements is summed up as they are
sent, so what is measured is what the database costs, sign-in and permissions included. Of moves and of the trash the
whole time is told, too: their commits are no statements. "Computing" is the part of the time in which the server had
a processor: where other work wants the processors as well, it says what a machine of its own would take.
"""

import argparse
import os
from pathlib import Path

from benchmarks.uploads.report import aligned, say_load
from benchmarks.uploads.yuntu import Platform

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make benchdrives", description=__doc__)
    var = Path(os.environ.get("YUNTU_VAR") or REPOSITORY / "var")
    parser.add_argument("--scratch", type=Path, default=var / "bench", help="where the database is kept")
    parser.add_argument("--rounds", type=int, default=40, help="of each look")
    parser.add_argument("--moves", type=int, default=10, help="of each change")
    arguments = parser.parse_args()
    platform = Platform(arguments.scratch.resolve())
    load = [os.getloadavg()[0]]
    try:
        platform.start()
        os.environ.update(platform.env)
        import django

        django.setup()
        from benchmarks.drives.workloads import HEAD, Workloads

        rows = Workloads("bench", platform.token).run(arguments.rounds, arguments.moves)
    finally:
        platform.stop()
    load.append(os.getloadavg()[0])
    print(f"\n{aligned([HEAD, *(row.cells() for row in rows)])}")
    say_load(load)


main()

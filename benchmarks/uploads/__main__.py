"""`make bench`: upload the same files to our platform and to others, round by round, and print what came of it.

In every round each contestant does each workload once, so that whatever else the machine does meets all of them; the
order turns with the rounds. A ratio is the median of the ratios within the rounds.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.uploads.contestants import Contestant, Missing, Nginx
from benchmarks.uploads.corpus import Corpus
from benchmarks.uploads.peers import Copyparty, TusNode, TusPython
from benchmarks.uploads.report import Report, say_load
from benchmarks.uploads.servers import AsgiYuntu, BufferedYuntu, OnePoolYuntu, SpooledYuntu
from benchmarks.uploads.wire import Refused
from benchmarks.uploads.yuntu import Platform, Yuntu, YuntuMd5, YuntuTus

REPOSITORY = Path(__file__).resolve().parents[2]
LARGE_1, LARGE_4, LARGE_AGAIN = "large, 1 conn. MB/s", "large, 4 conn. MB/s", "large again, times"
SMALL_4, BATCHES, SMALL_AGAIN = "small, 4 conn. files/s", "in batches files/s", "small again, times"
WORKLOADS = [LARGE_1, LARGE_4, LARGE_AGAIN, SMALL_4, BATCHES, SMALL_AGAIN]


class Run:
    """Rounds of all contestants, and their report."""

    def __init__(self, corpus: Corpus, contestants: list[Contestant]) -> None:
        self.corpus, self.contestants, self.report = corpus, contestants, Report()

    def install(self) -> None:
        for contestant in self.contestants:
            try:
                contestant.install()
            except Missing as error:
                self.give_up(contestant, error)

    def give_up(self, contestant: Contestant, error: Exception) -> None:
        print(f"  {contestant.name} is missing: {error}", flush=True)
        self.report.missing[contestant.name] = str(error)

    def round(self, number: int) -> None:
        turn = number % len(self.contestants)
        for contestant in self.contestants[turn:] + self.contestants[:turn]:
            if contestant.name in self.report.missing:
                continue
            try:
                contestant.clear()
                contestant.start()
                contestant.warm_up()
                self.measure(contestant)
            except (Missing, Refused, OSError) as error:
                self.give_up(contestant, error)
            finally:
                contestant.stop()
                contestant.clear()
            self.report.peaks[contestant.name] = contestant.peak

    def measure(self, contestant: Contestant) -> None:
        large, small = self.corpus.large_size, self.corpus.small_size * self.corpus.small_count
        seconds = self.time(contestant, large, lambda: contestant.large(1))
        self.note(contestant, LARGE_1, large / 1e6 / seconds)
        seconds = self.time(contestant, large, lambda: contestant.large(4))
        self.note(contestant, LARGE_4, large / 1e6 / seconds)
        if contestant.knows_again:
            again = self.time(contestant, 0, lambda: contestant.large_again(4))
            self.note(contestant, LARGE_AGAIN, seconds / again)
        seconds = self.time(contestant, small, lambda: contestant.small(4))
        self.note(contestant, SMALL_4, self.corpus.small_count / seconds)
        if contestant.knows_again:
            again = self.time(contestant, 0, lambda: contestant.small_again(4))
            self.note(contestant, SMALL_AGAIN, seconds / again)
        if contestant.knows_batches:
            seconds = self.time(contestant, small, lambda: contestant.small_batches(4))
            self.note(contestant, BATCHES, self.corpus.small_count / seconds)

    def time(self, contestant: Contestant, size: int, act: Callable[[], None]) -> float:
        """Seconds of an upload of `size` new bytes, all of which have to be on the contestant's disk afterwards."""
        if size:
            self.corpus.renew()
            contestant.prepare()
        there = contestant.stored_size()
        os.sync()  # nobody pays for what another one has written
        begun = time.monotonic()
        act()
        seconds = time.monotonic() - begun
        grown = contestant.stored_size() - there
        if grown < size:
            raise Refused(f"{size} bytes were sent and {grown} stored")
        return seconds

    def note(self, contestant: Contestant, workload: str, rate: float) -> None:
        self.report.rates[contestant.name, workload].append(rate)
        print(f"  {contestant.name}: {workload} {rate:.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    var = Path(os.environ.get("YUNTU_VAR") or REPOSITORY / "var")
    parser.add_argument("--scratch", type=Path, default=var / "bench", help="where peers and files are kept")
    parser.add_argument("--quick", action="store_true", help="one round of 64 MiB and 200 files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=1024, help="MiB of the large file")
    parser.add_argument("--small", type=int, default=2000, help="number of small files of 20 KiB")
    parser.add_argument(
        "--servers", action="store_true", help="our platform behind several servers, no peers"
    )
    parser.add_argument("--only", nargs="*", help="names of contestants")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.large, arguments.small = 1, 64, 200
    scratch = arguments.scratch.resolve()
    corpus = Corpus(
        scratch / f"corpus-{arguments.large}-{arguments.small}", arguments.large << 20, arguments.small
    )
    corpus.create()
    platform = Platform(scratch)
    ours: list[type[Yuntu]] = [Yuntu, YuntuMd5, YuntuTus]
    if arguments.servers:
        ours = [Yuntu, OnePoolYuntu, AsgiYuntu, SpooledYuntu, BufferedYuntu]
    contestants: list[Contestant] = [
        Nginx(scratch, corpus),
        *(kind(scratch, corpus, platform) for kind in ours),
    ]
    if not arguments.servers:
        contestants += [TusNode(scratch, corpus), TusPython(scratch, corpus), Copyparty(scratch, corpus)]
    if arguments.only:
        contestants = [contestant for contestant in contestants if contestant.name in arguments.only]
    run = Run(corpus, contestants)
    run.install()
    load = [os.getloadavg()[0]]
    try:
        platform.start()
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            run.round(number)
            load.append(os.getloadavg()[0])
    finally:
        platform.stop()
    print(f"\n{arguments.large} MiB in parts of 5 MiB; {arguments.small} files of 20 KiB")
    print(run.report.table([contestant.name for contestant in contestants], WORKLOADS))
    peers = [contestant.name for contestant in contestants if not isinstance(contestant, Yuntu)]
    for contestant in contestants:
        if isinstance(contestant, Yuntu):
            print(f"\n{contestant.name}, as many times the rate of")
            print(run.report.ratios(contestant.name, peers, [LARGE_1, LARGE_4, SMALL_4]))
    say_load(load)


main()

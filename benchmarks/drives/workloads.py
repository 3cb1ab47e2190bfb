"""What is asked of the drive, and what it cost. Needs Django set up."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection
from rest_framework.test import APIClient

from accounts.models import User
from benchmarks.drives import corpus
from drives import selectors
from drives.models import Drive, Folder
from drives.services.drives import default_drive

READ_GOAL, WRITE_GOAL = 0.050, 0.500
HEAD = ["", "statements", "p50 ms", "p95 ms", "of it computing, p95 ms", "whole p50 ms", "goal of p95, ms"]


class Meter:
    """Sums up the statements of one request: the time until they are answered, and what the server computed for it."""

    def __init__(self) -> None:
        self.seconds, self.computed, self.count = 0.0, 0.0, 0

    def __call__(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        before, begun = computed_seconds(), time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            self.seconds += time.perf_counter() - begun
            self.computed += computed_seconds() - before
            self.count += 1


def computed_seconds() -> float:
    """Processor time of the PostgreSQL process that serves us (Linux tells nanoseconds); 0 where it cannot be seen."""
    try:
        told = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text()
    except (OSError, AttributeError):
        return 0.0
    return int(told.split()[0]) / 1e9


class Row:
    """What a workload cost: seconds of the database and of the whole, and statements, of each round."""

    def __init__(self, name: str, goal: float) -> None:
        self.name, self.goal = name, goal
        self.database: list[float] = []
        self.computed: list[float] = []
        self.whole: list[float] = []
        self.counts: set[int] = set()

    def measure(self, act: Callable[[], Any]) -> None:
        meter, begun = Meter(), time.perf_counter()
        with connection.execute_wrapper(meter):
            act()
        self.whole.append(time.perf_counter() - begun)
        self.database.append(meter.seconds)
        self.computed.append(meter.computed)
        self.counts.add(meter.count)

    def cells(self) -> list[str]:
        p95 = share(self.database, 0.95)
        met = "yes" if p95 < self.goal else "NO"
        times = [share(self.database, 0.5), p95, share(self.computed, 0.95), share(self.whole, 0.5)]
        statements = "-".join(map(str, sorted({min(self.counts), max(self.counts)})))
        goal = f"< {self.goal * 1000:.0f}: {met}"
        return [self.name, statements, *(f"{seconds * 1000:.1f}" for seconds in times), goal]


def share(values: list[float], part: float) -> float:
    """The value that `part` of all do not exceed."""
    return sorted(values)[min(int(part * len(values)), len(values) - 1)]


class Workloads:
    """Requests of one person to one drive, which is filled first."""

    def __init__(self, username: str, token: str) -> None:
        self.drive: Drive = default_drive(user=User.objects.get(username=username))
        begun = time.monotonic()
        self.made = corpus.fill(self.drive)
        below = Folder.objects.filter(path__startswith=f"{self.made.folders[0]}/").count()
        print(f"filled in {time.monotonic() - begun:.0f} s; {below} folders below the large one", flush=True)
        self.client = APIClient(HTTP_HOST="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {token}")
        self.chance = random.Random(1)  # noqa: S311  (every run looks at the same places)

    def send(self, method: str, url: str, /, **data: Any) -> Any:
        answer = getattr(self.client, method)(
            f"/api/v1{url}", data, **({} if method == "get" else {"format": "json"})
        )
        if answer.status_code != 200:
            raise SystemExit(f"{url}: {answer.status_code} {answer.content!r}")
        return answer.json()

    def listing(self, path: str, **query: Any) -> Any:
        return self.send("get", f"/drives/{self.drive.pk}/files", path=path, **query)

    def search(self, keyword: str) -> Any:
        return self.send("get", "/files", drive_id=str(self.drive.pk), keyword=keyword)

    def looks(self) -> dict[str, Callable[[], Any]]:
        made, choice = self.made, self.chance.choice
        return {
            "list a folder of about 100 files": lambda: self.listing(choice(made.folders)),
            "list 1,000 of a folder of 20,000": lambda: self.listing(made.full),
            "the same, by size": lambda: self.listing(made.full, sort="-size"),
            "the last 1,000 of it": lambda: self.listing(made.full, skip=19_000),
            "resolve a path of 8 segments": lambda: selectors.breadcrumbs(self.drive, choice(made.deep)),
            "list the folder at such a path": lambda: self.listing(choice(made.deep)),
            "search two Chinese characters (50,000 hits)": lambda: self.search("贴图"),
            "search a rare word (5 hits)": lambda: self.search(corpus.RARE),
            "search a rare Chinese pair (5 hits)": lambda: self.search("丹青"),
            "search a very common pair (most files)": lambda: self.search("00"),
            "search what is not there, of common pairs": lambda: self.search("98765432"),
            "search what is not there": lambda: self.search("qzxj"),
            "search one character (50,000 hits)": lambda: self.search("贴"),
        }

    def run(self, rounds: int, moves: int) -> list[Row]:
        rows = []
        for name, look in self.looks().items():
            look()  # plans and pages are warm
            rows.append(row := Row(name, READ_GOAL))
            for _round in range(rounds):
                row.measure(look)
            print("  ".join(row.cells()), flush=True)
        return rows + self.changes(moves)

    def changes(self, rounds: int) -> list[Row]:
        """A large folder goes to and fro, and into the trash and back each time."""
        names = ("move", "trash", "restore")
        move, trash, restore = rows = [
            Row(f"{name} a folder with 186,000 descendants", WRITE_GOAL) for name in names
        ]
        path = f"/files/{self.made.subtree}"
        for number in range(rounds):
            to = "/" if number % 2 else self.made.folders[corpus.BLOCK]
            move.measure(lambda to=to: self.send("post", f"{path}/move", folder_path=to))  # type: ignore[misc]
            trash.measure(lambda: self.send("delete", path))
            restore.measure(lambda: self.send("post", f"{path}/restore"))
        return rows

"""`make benchadmin`: how long the server takes for pages of the back office over many rows.

Each page is asked for in this process, without a network: what is measured is the view, its statements and its
template. The first answer of a page is not counted.
"""

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.uploads.report import aligned, say_load
from benchmarks.uploads.yuntu import Platform

GOAL = 300  # milliseconds
COLD = "first page, figures read anew"
PAGES = {
    COLD: "/admin/",
    "first page, figures kept": "/admin/",
    "users": "/admin/accounts/user/",
    "users, by name": "/admin/accounts/user/?q=bench_00077",
    "users, by phone": "/admin/accounts/user/?q=1390004",
    "users, by level": "/admin/accounts/user/?member_level__exact=2",
    "sessions": "/admin/accounts/session/",
    "audit log": "/admin/accounts/auditevent/",
    "wallets": "/admin/billing/wallet/",
    "ledger": "/admin/billing/ledgerentry/",
    "ledger, page 50": "/admin/billing/ledgerentry/?p=50",
    "ledger, of a user": "/admin/billing/ledgerentry/?q=bench_0007771",
    "ledger, of a day": "/admin/billing/ledgerentry/?created_at_from={today}&created_at_to={today}",
    "ledger, recharges": "/admin/billing/ledgerentry/?kind__exact=recharge",
    "jobs": "/admin/rendering/renderjob/",
    "jobs, of a user": "/admin/rendering/renderjob/?q=bench_0007771",
    "jobs, that failed": "/admin/rendering/renderjob/?status__exact=6",
    "drives": "/admin/drives/drive/",
    "queue": "/admin/queue/",
}


def measure(rounds: int) -> list[list[str]]:
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from accounts.models import User

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.create_superuser("bench_boss", "Blue-lantern-42"))
    rows = [["page", "ms, median (least-most)", "statements", "slowest of them, ms", f"< {GOAL} ms"]]
    for name, address in PAGES.items():
        path = address.format(today=timezone.localdate())
        client.get(path)
        times = []
        for _round in range(rounds):
            if name == COLD:
                cache.clear()
            begun = perf_counter()
            answer = client.get(path)
            times.append(1000 * (perf_counter() - begun))
            if answer.status_code != 200:
                sys.exit(f"{path} answered {answer.status_code}")
        if name == COLD:
            cache.clear()
        with CaptureQueriesContext(connection) as captured:
            client.get(path)
        slowest = max((float(query["time"]) for query in captured), default=0.0)
        figures = f"{median(times):.0f} ({min(times):.0f}-{max(times):.0f})"
        is_met = "yes" if median(times) < GOAL else "NO"
        rows.append([name, figures, str(len(captured)), f"{1000 * slowest:.0f}", is_met])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="yuntu-bench-") as scratch:
        platform = Platform(Path(scratch))
        platform.env |= {"STAFF_SECOND_FACTOR": "0", "DEBUG": "1"}
        os.environ.update(platform.env)
        try:
            platform.start()
            import django

            django.setup()
            from benchmarks.admin.corpus import Size, fill
            from benchmarks.admin.first_rows import make_first_rows

            size = Size(1000, 1000, 10_000) if options.quick else Size(100_000, 100_000, 1_000_000)
            print(f"{size}: being made", flush=True)
            make_first_rows()
            fill(size)
            print(f"\n{aligned(measure(options.rounds))}")
        finally:
            platform.stop()
    say_load([os.getloadavg()[0]])


if __name__ == "__main__":
    main()

"""Users of the old service from a CSV file."""

import argparse
import csv
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.services.imports import COLUMNS, FileRefused, Outcome, Result, import_users

TOLD = (Result.REFUSED, Result.DIFFERENT)


class Command(BaseCommand):
    help = (
        "Import users of the old service from a CSV file in UTF-8 whose first line names the columns "
        f"{', '.join(COLUMNS)}. Run again, it imports what is new. Ends with 1 where rows were refused."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--report", type=Path, help="CSV of the rows that were refused or differ, and why"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        counts: Counter[Result] = Counter()
        with ExitStack() as stack:
            try:
                report = self.report_to(options["report"], stack)
                for outcome in import_users(options["file"], dry_run=options["dry_run"]):
                    counts[outcome.result] += 1
                    if outcome.result in TOLD:
                        report(outcome)
            except (FileRefused, OSError) as error:
                raise CommandError(str(error)) from error
        done = ", ".join(f"{counts[result]} {result}" for result in Result)
        self.stdout.write(f"{'Dry run, nothing is changed: ' if options['dry_run'] else ''}{done}.")
        if counts[Result.REFUSED]:
            raise CommandError(f"{counts[Result.REFUSED]} rows were refused.")

    def report_to(self, path: Path | None, stack: ExitStack) -> Any:
        """What writes an outcome down: in the report, or without one on standard error."""
        if path is None:
            return self.tell
        writer = csv.writer(stack.enter_context(path.open("w", encoding="utf-8", newline="")))
        writer.writerow(["line", "username", "result", "reason"])
        return lambda outcome: writer.writerow(
            [outcome.line, outcome.username, outcome.result, outcome.reason]
        )

    def tell(self, outcome: Outcome) -> None:
        self.stderr.write(f"line {outcome.line}: {outcome.username or '?'}: {outcome.reason}")

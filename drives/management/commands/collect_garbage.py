"""Removes what nobody needs any more, as the schedule does every hour."""

import argparse
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drives.services.garbage import Kind, collect_garbage
from drives.storage import StorageError


class Command(BaseCommand):
    help = "Remove content that nothing has pointed to for BLOB_GRACE_HOURS, and uploads that nobody will finish."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be removed")

    def handle(self, *args: Any, **options: Any) -> None:
        counts, sizes = Counter[str](), Counter[str]()
        try:
            for found in collect_garbage(now=timezone.now(), dry_run=options["dry_run"]):
                self.stdout.write(f"{found.kind:<6} {found.key} {found.size} bytes")
                counts[found.kind] += 1
                sizes[found.kind] += found.size
        except StorageError as error:
            raise CommandError(str(error)) from error
        sums = ", ".join(f"{counts[kind]} {kind} ({sizes[kind]} bytes)" for kind in Kind)
        self.stdout.write(f"{'Would remove' if options['dry_run'] else 'Removed'}: {sums}")

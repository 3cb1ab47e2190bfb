"""Compares database and storage, both ways."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drives.services.fsck import Finding, Kind, Tally, check_storage, delete_orphan
from drives.storage import StorageError


class Command(BaseCommand):
    help = (
        "Compare database and storage: rows without an object (missing), objects without a row that are older than"
        " BLOB_GRACE_HOURS (orphaned), objects that are not what their row says (altered). Ends with 1 where"
        " anything was found, with 2 where the storage fails."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--deep", action="store_true", help="read all content and compare its SHA-256")
        parser.add_argument("--repair", action="store_true", help="delete what is orphaned, and nothing else")
        parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        tally, repaired = Tally(), 0
        report = JsonReport(self.stdout) if options["json"] else TextReport(self.stdout)
        try:
            for finding in check_storage(now=timezone.now(), deep=options["deep"], tally=tally):
                is_gone = options["repair"] and delete_orphan(finding)
                repaired += is_gone
                report.tell(finding, is_gone)
        except StorageError as error:
            raise CommandError(str(error), returncode=2) from error
        report.end(tally, repaired)
        if tally.found:
            sys.exit(1)


class TextReport:
    """A line for each finding as it is found, and the sums."""

    def __init__(self, out: Any) -> None:
        self.out = out

    def tell(self, finding: Finding, is_gone: bool) -> None:
        remark = " deleted" if is_gone else f" {finding.detail}" if finding.detail else ""
        self.out.write(f"{finding.kind:<8} {finding.key} {finding.size} bytes{remark}")

    def end(self, tally: Tally, repaired: int) -> None:
        sums = ", ".join(f"{tally.found[kind]} {kind}" for kind in Kind)
        self.out.write(f"{tally.blobs} blobs, {tally.objects} objects: {sums}; {repaired} deleted")


class JsonReport:
    """The same as one JSON document, written as it is found."""

    def __init__(self, out: Any) -> None:
        self.out, self.separator = out, '{"findings": [\n'

    def tell(self, finding: Finding, is_gone: bool) -> None:
        body = json.dumps({**asdict(finding), "deleted": is_gone}, default=str)
        self.out.write(f"{self.separator}{body}", ending="")
        self.separator = ",\n"

    def end(self, tally: Tally, repaired: int) -> None:
        begun = "" if self.separator == ",\n" else self.separator
        sums: dict[str, int] = {"blobs": tally.blobs, "objects": tally.objects, "deleted": repaired}
        sums.update((kind.value, tally.found[kind]) for kind in Kind)
        self.out.write(f"{begun}],\n" + json.dumps(sums)[1:])

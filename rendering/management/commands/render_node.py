"""A render node: a Celery worker that takes frames of the engines found on this machine."""

import argparse
from typing import Any

from celery import current_app, signals
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from rendering.engines import is_offered
from rendering.messages import queue_of, wake_slots
from rendering.node import NameInUse, Node

GIB = 1 << 30


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def gib(text: str) -> int:
    """Bytes of a number of GiB."""
    return int(float(text) * GIB)


class Command(BaseCommand):
    help = "Run a render node. Several on one machine need names of their own."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--name", default="", help="default: the host's name")
        parser.add_argument("--slots", type=int, default=settings.RENDER_NODE_SLOTS, help="frames at once")
        parser.add_argument(
            "--engines", type=names, default=[], help="of those found here, separated by commas"
        )
        parser.add_argument(
            "--tags", type=names, default=[], help="what tasks may ask for, separated by commas"
        )
        parser.add_argument(
            "--memory", type=gib, help="GiB that all frames may use together; default: what there is"
        )
        parser.add_argument(
            "--cache-size", type=gib, help="GiB of input files kept on this machine; 0 for no limit"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if unknown := [name for name in options["engines"] if not is_offered(name)]:
            raise CommandError(f"The settings do not offer: {', '.join(unknown)}.")
        try:
            node = Node(
                name=options["name"],
                slots=options["slots"],
                engines=options["engines"],
                tags=options["tags"],
                memory_size=options["memory"],
                cache_size=options["cache_size"],
            )
            node.start()
        except (NameInUse, ValueError) as error:
            raise CommandError(f"{error} Use --name.") from error
        if not node.engines:
            self.stderr.write("No engine was found here; the node waits for none. See docs/engines.md.")

        def begin(**_kwargs: Any) -> None:
            # Frames may have waited for a node to come.
            for engine in node.engines:
                wake_slots(engine, node.slots)

        def end(**_kwargs: Any) -> None:
            node.stop()

        def leave(**_kwargs: Any) -> None:
            node.leave()

        signals.worker_ready.connect(begin, weak=False)
        signals.worker_shutting_down.connect(end, weak=False)
        signals.worker_shutdown.connect(leave, weak=False)
        queues = ",".join(queue_of(engine) for engine in node.engines) or "render.none"
        arguments = ["worker", "--pool", "threads", "--concurrency", str(node.slots), "-Q", queues]
        arguments += ["-n", f"{node.name}@%h", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        current_app.worker_main(arguments)

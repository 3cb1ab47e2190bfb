"""A render node: a Celery worker that takes frames of the engines found on this machine."""

import argparse
from typing import Any

from celery import current_app, signals
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from rendering.messages import queue_of, wake_slots
from rendering.node import Node


class Command(BaseCommand):
    help = "Run a render node. Several on one machine need names of their own."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--name", default="", help="default: the host's name")
        parser.add_argument("--slots", type=int, default=settings.RENDER_NODE_SLOTS, help="frames at once")

    def handle(self, *args: Any, **options: Any) -> None:
        node = Node(name=options["name"], slots=options["slots"])
        if not node.engines:
            self.stderr.write("No engine was found here; the node waits for none. See docs/engines.md.")
        try:
            node.start()
        except BlockingIOError as error:
            raise CommandError(f"A node named {node.name} runs here already; use --name.") from error

        def begin(**_kwargs: Any) -> None:
            # Frames may have waited for a node to come.
            for engine in node.engines:
                wake_slots(engine, node.slots)

        def end(**_kwargs: Any) -> None:
            node.stop()

        signals.worker_ready.connect(begin, weak=False)
        signals.worker_shutting_down.connect(end, weak=False)
        queues = ",".join(queue_of(engine) for engine in node.engines) or "render.none"
        arguments = ["worker", "--pool", "threads", "--concurrency", str(node.slots), "-Q", queues]
        arguments += ["-n", f"{node.name}@%h", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        current_app.worker_main(arguments)

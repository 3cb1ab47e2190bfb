"""Nodes of this process at work."""

import threading

from django.db import connections

from rendering.models import Attempt
from rendering.node import Node
from tests.racing import wait_for


class Working:
    """A node that works in a thread of its own."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        self.node.work("blender")
        connections.close_all()

    def wait_for_progress(self) -> None:
        wait_for(Attempt.objects.filter(status="running", progress__gt=0).exists)

    def ends(self) -> bool:
        self.thread.join(60)
        return not self.thread.is_alive()

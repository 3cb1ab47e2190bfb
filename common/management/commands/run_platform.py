"""`manage.py run_platform`: the whole platform in the foreground, as one tree of processes."""

import contextlib
import gc
import http.client
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from common.embedded.children import ChildSpec
from common.embedded.errors import EmbeddedError
from common.embedded.services import EmbeddedServices
from common.embedded.supervisor import Supervisor

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
SLOW_START = 60.0  # seconds without an answer after which we say where to look


class Command(BaseCommand):
    help = "Run the platform: embedded services, web, worker, render node and beat. Ctrl-C stops everything."
    requires_system_checks: list[str] = []  # the children check
    interrupted = False

    def add_arguments(self, parser: CommandParser) -> None:
        default = os.environ.get("PORT") or str(DEFAULT_PORT)
        parser.add_argument(
            "--port", default=default, help="TCP port on loopback; 0: any free one (default: $PORT or 8000)"
        )

    def handle(self, *args: Any, port: str, **options: Any) -> None:
        number = chosen_port(port)
        # All stop us as Ctrl-C does, SIGINT also where a shell has us ignore it because it put us into the
        # background. Only nohup's wish is respected.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self.interrupt)
        try:
            self.run_platform(number)
        except KeyboardInterrupt:
            self.tell("Yuntu has stopped.")
        except EmbeddedError as error:
            raise CommandError(str(error)) from error

    def interrupt(self, signum: int, frame: object) -> None:
        """As Ctrl-C, and kept in mind: Python drops what is raised inside a callback of its own, as of an import."""
        self.interrupted = True
        raise KeyboardInterrupt

    def stop_if_asked(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def run_platform(self, port: int) -> None:
        layout = settings.EMBEDDED
        self.tell(f"Yuntu starts; its state is kept in {layout.var}.")
        with EmbeddedServices(layout, tell=self.tell) as services:
            self.prepare_database()
            self.stop_if_asked()
            for spec in child_specs(port):
                services.supervisor.start(spec)
            threading.Thread(target=self.announce, args=(port, services.supervisor), daemon=True).start()
            self.stop_if_asked()
            services.supervisor.run()

    def tell(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # that nobody listens any more is no reason to stop
            self.stdout.write(text)
            self.stdout.flush()

    def prepare_database(self) -> None:
        """Bring the tables up to date and see that there is an operator."""
        executor = MigrationExecutor(connections["default"])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.tell("Migrating the database.")
            # Every migration makes the models anew. To look for garbage in them all the time takes a fifth of the time.
            gc.disable()
            try:
                call_command("migrate", interactive=False, verbosity=0)
            finally:
                gc.enable()
        if "ensure_operator" in get_commands():
            call_command("ensure_operator", stdout=self.stdout)
        connections.close_all()

    def announce(self, port: int, supervisor: Supervisor) -> None:
        """Say once when the platform answers."""
        started = time.monotonic()
        warned = False
        while not is_healthy(port):
            if not warned and time.monotonic() - started > SLOW_START:
                warned = True
                self.tell(
                    f"No healthy answer from port {port} yet; the logs are in {supervisor.layout.logs}."
                )
            time.sleep(0.1)
        self.tell(f"Yuntu is ready at http://{HOST}:{port}")


def chosen_port(text: str) -> int:
    """The port to serve on. Raises CommandError where it is no port or is taken."""
    try:
        port = int(text)
        with socket.socket() as probe:
            # As the web server does: connections of a former run that still fade away are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            free: int = probe.getsockname()[1]
            return free
    except (ValueError, OverflowError) as error:
        raise CommandError(
            f"{text!r} is not a port: give a number from 0 to 65535 (PORT or --port)."
        ) from error
    except OSError as error:
        raise CommandError(
            f"Port {text} cannot be used ({error.strerror}). Choose another: PORT=8001 make run"
        ) from error


def child_specs(port: int) -> list[ChildSpec]:
    """The processes of the platform besides its services."""
    env = {"YUNTU_VAR": str(settings.EMBEDDED.var), "PORT": str(port), "PYTHONUNBUFFERED": "1"}

    def python(name: str, arguments: str, grace: float = 5) -> ChildSpec:
        argv = [sys.executable, *arguments.split()]
        return ChildSpec(name=name, argv=argv, env=env, cwd=settings.BASE_DIR, grace=grace)

    # By itself it would take the address of a client from a header that anybody on this machine can send.
    uvicorn = (
        f"-m uvicorn config.asgi:application --host {HOST} --port {port} --loop uvloop --http httptools "
        "--ws websockets-sansio --lifespan off --no-proxy-headers --timeout-graceful-shutdown 3"
    )
    # There is nobody to agree with (mingle, gossip), and asking takes a second of every start.
    worker = (
        "-m celery -A config worker --hostname worker@%h --pool threads --concurrency 4 -Q default,preflight,previews "
        "--without-mingle --without-gossip --loglevel INFO"
    )
    beat = (
        "-m celery -A config beat --scheduler django_celery_beat.schedulers:DatabaseScheduler --pidfile= "
        "--loglevel INFO"
    )
    return [
        python("web", uvicorn),
        python("worker", worker),
        # Time to end the renderer's processes and to give the frames back.
        python("node", "manage.py render_node", grace=10),
        python("beat", beat),
    ]


def is_healthy(port: int) -> bool:
    """Whether GET /health answers 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health", headers={"Accept": "application/json"})
        return connection.getresponse().status == http.HTTPStatus.OK
    return False

"""`manage.py demo`: start the platform on a free port and do the main job as a client."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from common import processes
from common.demo.client import DemoError
from common.demo.scenario import Demo

MANAGE = settings.BASE_DIR / "manage.py"
EXAMPLE = settings.BASE_DIR / "examples" / "lantern" / "scene.blend"
START_SECONDS = 180


class Command(BaseCommand):
    help = "Upload a scene, render frames, watch them live, download them and see the bill."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--scene", type=Path, default=EXAMPLE, help="a .blend file; its textures are found by it"
        )
        parser.add_argument(
            "--frames", default="", help="a range such as 1-3 (default: 1-3 of the example scene)"
        )

    def handle(self, *args: Any, scene: Path, frames: str, **options: Any) -> None:
        started = time.monotonic()
        scene = scene.expanduser().resolve()
        if not scene.is_file():
            raise CommandError(f"There is no scene {scene}.")
        frames = frames or ("1-3" if scene == EXAMPLE.resolve() else "")
        if not settings.BLENDER_BINARIES and not (settings.ENGINES_DIR / "blender" / ".installed").exists():
            raise CommandError(
                f"Blender is not installed in {settings.ENGINES_DIR}: run `python scripts/install_blender.py` "
                "(`make demo` does), or let YUNTU_BLENDER name a blender binary."
            )
        # As Ctrl-C: the platform is stopped before we go.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        platform = Platform()
        try:
            base = platform.start()
            self.tell(f"The platform runs at {base} ({time.monotonic() - started:.1f} s).")
            asyncio.run(Demo(base, settings.YUNTU_VAR, self.tell).run(scene, frames))
        except (DemoError, httpx.HTTPError, TimeoutError) as error:
            raise CommandError(f"The demo failed: {str(error) or type(error).__name__}") from error
        except KeyboardInterrupt as interrupt:
            raise CommandError("The demo was stopped.", returncode=130) from interrupt
        finally:
            platform.stop()
        self.tell(f"The demo took {time.monotonic() - started:.1f} s.")

    def tell(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


class Platform:
    """`manage.py run_platform` on a free port, as a child."""

    def start(self) -> str:
        """Start it and return its address once it answers. Raises DemoError."""
        command = [sys.executable, "-u", str(MANAGE), "run_platform", "--port", "0"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ,
            # A demo that is killed leaves no platform behind.
            preexec_fn=processes.parent_death_signal(signal.SIGTERM),
        )
        self.output: list[str] = []
        self.base = ""
        self.ready = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        self.ready.wait(START_SECONDS)
        if not self.base:
            raise DemoError("the platform did not start:\n" + "".join(self.output[-30:]))
        return self.base

    def read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101
        for line in self.process.stdout:
            self.output.append(line)
            if found := re.search(r"ready at (http://\S+?)\.?\s", line):
                self.base = found.group(1)
                self.ready.set()
        self.ready.set()

    def stop(self) -> None:
        """Ask the platform to stop until it has; once it is stopping it hears no second call."""
        for _round in range(10):
            if self.process.poll() is not None:
                return
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)
        self.process.kill()  # its guardian ends whatever it had started

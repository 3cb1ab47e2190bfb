"""A whole platform in processes of its own, driven as its clients and its misfortunes drive it."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from celery import Celery
from psycopg.rows import dict_row
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from common import processes
from common.embedded.layout import Layout

PATIENCE = 4
"""A busy machine takes longer than a quiet one. A test that passes does not wait for it."""
T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parents[2]
SCENES = Path(__file__).resolve().parent / "scenes"
ENGINES = Path(os.environ.get("YUNTU_ENGINES") or REPOSITORY / ".engines")
QUICK = {
    "RENDER_LEASE_SECONDS": "3",
    "RENDER_HEARTBEAT_SECONDS": "0.25",
    "RENDER_NODE_HEARTBEAT_SECONDS": "1",
    "SMS_IP_HOUR": "1000",
    "LOG_LEVEL": "INFO",
}
FINAL = ("completed", "failed", "cancelled")
# As a `blender` that is a script of the studio's: the renderer is not the process that the node starts, and
# something leaves the session. The parent-death signal reaches neither.
WRAPPER = """#!/bin/sh
setsid sleep 600 &
"{python}" "$@"
"""


def clean_environment(var: Path, **more: str) -> dict[str, str]:
    """The environment of a platform that has nothing of the suite's own services."""
    ours = ("DATABASE_URL", "REDIS_URL", "REDIS_PREFIX", "DJANGO_SETTINGS_MODULE", "PORT")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("PYTEST_", "YUNTU_"))
    }
    return {**kept, "YUNTU_VAR": str(var), "YUNTU_ENGINES": str(ENGINES), **more}


def wrapped_engines(folder: Path) -> Path:
    """An engines folder whose Blender comes as a tree of processes."""
    real, fake = ENGINES / "blender", folder / "blender"
    (fake / "bin").mkdir(parents=True)
    (fake / ".installed").symlink_to(real / ".installed")
    (fake / "lib").symlink_to(real / "lib")
    (fake / "bin" / "python").write_text(WRAPPER.format(python=real / "bin" / "python"))
    (fake / "bin" / "python").chmod(0o755)
    return folder


def wait_until(condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first true answer of `condition`; fails the test after `seconds`, or PATIENCE times as many."""
    deadline = time.monotonic() + PATIENCE * seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} times {seconds} s"
        time.sleep(0.05)
    return answer


class Farm:
    """A platform under `var`, started by `manage.py run_platform`."""

    def __init__(self, var: Path, **environment: str) -> None:
        self.layout = Layout(var)
        self.environment = clean_environment(var, **QUICK, **environment)
        self.output: list[str] = []
        self.process = self.manage("run_platform", "--port", "0", stdout=subprocess.PIPE)
        self.base = ""
        self.nodes: dict[str, subprocess.Popen[Any]] = {}
        self.answers = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def manage(self, *arguments: str, **more: Any) -> subprocess.Popen[Any]:
        command = [sys.executable, "-u", str(REPOSITORY / "manage.py"), *arguments]
        return subprocess.Popen(
            command, env=self.environment, text=True, stderr=subprocess.STDOUT, cwd=REPOSITORY, **more
        )

    def read(self) -> None:
        for line in self.process.stdout or ():
            self.output.append(line)
            if found := re.search(r"ready at (http://\S+)", line):
                self.base = found.group(1)
                self.answers.set()
        self.answers.set()

    def wait_until_ready(self) -> "Farm":
        """Wait until it answers and has a node. The schedules that pick up what was lost then run every second."""
        assert self.answers.wait(240), self.output
        assert self.base, self.output
        self.ask(
            "UPDATE django_celery_beat_intervalschedule SET every = 1 WHERE period = 'seconds' AND every = 5"
        )
        self.ask("UPDATE django_celery_beat_periodictasks SET last_update = now()")
        wait_until(lambda: self.ask("SELECT 1 FROM rendering_rendernode"), 20, "a node registers")
        return self

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.base}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def ask(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.layout.database_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def send(self, task: str, *arguments: str, queue: str) -> None:
        """A message as the platform would send it."""
        broker = self.layout.redis_url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
        with Celery(broker=broker) as app:
            app.conf.broker_transport_options = {"global_keyprefix": "yuntu-celery:"}
            app.send_task(f"rendering.tasks.{task}", args=arguments, queue=queue)

    def pid_of(self, name: str) -> int:
        """The process that the supervisor started under this name."""
        members = processes.pids_with_environment("YUNTU_CHILD", f"{name}@{self.layout.var}")
        return next(
            (pid for pid in members if os.getpgid(pid) == pid and parent_of(pid) == self.process.pid), 0
        )

    def kill(self, name: str, signum: int = signal.SIGKILL) -> int:
        """Send a signal to a child of the supervisor; its pid."""
        pid = wait_until(lambda: self.pid_of(name), 20, f"{name} runs")
        os.kill(pid, signum)
        return pid

    def start_node(self, name: str) -> subprocess.Popen[Any]:
        """A further node, of which the supervisor knows nothing; the one that runs, if it does."""
        if name in self.nodes and self.nodes[name].poll() is None:
            return self.nodes[name]
        log = (self.layout.logs / f"{name}.log").open("w")
        node = self.manage("render_node", "--name", name, stdout=log, start_new_session=True)
        log.close()
        self.nodes[name] = node
        query = "SELECT 1 FROM rendering_rendernode WHERE name = %s AND heartbeat_at > now() - interval '2s'"
        wait_until(lambda: self.ask(query, name), 20, f"node {name} registers")
        return node

    def attempts(self, task: str) -> list[dict[str, Any]]:
        """All attempts at a job in order, with frame number and node."""
        return self.ask(
            """SELECT a.id::text, a.status, f.number, n.name AS node, a.created_at, a.ended_at
                 FROM rendering_attempt a JOIN rendering_frame_attempts fa ON fa.attempt_id = a.id
                 JOIN rendering_frame f ON f.id = fa.frame_id LEFT JOIN rendering_rendernode n ON n.id = a.node_id
                WHERE a.job_id = %s ORDER BY a.created_at""",
            task,
        )

    def members(self) -> set[int]:
        """Every process of the platform, the renderers' too."""
        mine = processes.pids_with_environment(*self.layout.token)
        return mine | renderers(self.layout.node)

    def stop(self) -> None:
        for node in self.nodes.values():
            node.send_signal(signal.SIGCONT)
            node.terminate()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        for process in (*self.nodes.values(), self.process):
            process.wait(30)

    def remove(self) -> None:
        """Whatever is left after a test that went wrong."""
        for process in (*self.nodes.values(), self.process):
            process.kill()
            process.wait(30)
        processes.end_owners(*self.layout.token, grace=0)
        shutil.rmtree(self.layout.sockets, ignore_errors=True)


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def renderers(node_folder: Path) -> set[int]:
    """The living processes that were started in an attempt's folder below `node_folder`."""
    found = set()
    for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]:
        try:
            home = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue
        if home.is_relative_to(node_folder) and processes.find_process(pid):
            found.add(pid)
    return found


def processes_of(attempt: str) -> set[int]:
    """The living processes of an attempt, wherever they went."""
    return processes.pids_with_environment("YUNTU_ATTEMPT", attempt)


class Artist:
    """A user of a farm: calls its API, listens to its socket."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        wait_until(farm.healthy, 60, "the web process answers, also after a test that killed it")
        self.http = httpx.Client(base_url=f"{farm.base}/api/v1", timeout=30)
        phone = f"138{secrets.randbelow(10**8):08d}"
        self.call("POST", "/auth/send-code", json={"phone": phone})
        lines = (farm.layout.outbox / "sms.jsonl").read_text("utf-8").splitlines()
        code = next(each["code"] for each in map(json.loads, reversed(lines)) if each["phone"] == phone)
        new = {
            "username": f"artist_{phone}",
            "phone": phone,
            "verification_code": code,
            "password": "Quiet-Lantern-7",
        }
        answer = self.call("POST", "/auth/register", json=new)
        self.token, self.id = answer["access_token"], answer["user"]["id"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.scenes: dict[Path, str] = {}

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = self.http.request(method, path, **kwargs)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def upload(self, *paths: Path) -> list[str]:
        """Upload files side by side below /project; their ids."""
        root = paths[0].parent
        files = [
            {
                "index": index,
                "local_path": path.name,
                "target_folder_path": f"/project/{path.parent.relative_to(root)}".removesuffix("/."),
                "file_name": path.name,
                "file_size": path.stat().st_size,
            }
            for index, path in enumerate(paths)
        ]
        manifest = {
            "task_name": "scene",
            "total_files": len(files),
            "total_size": sum(path.stat().st_size for path in paths),
            "files": files,
        }
        task = self.call("POST", "/upload-tasks", json={"upload_manifest": manifest})
        rows = self.call("GET", f"/upload-tasks/{task['id']}/files")["files"]
        return [
            self.call(
                "POST",
                f"/upload-tasks/{task['id']}/files/{row['id']}/upload",
                files={"file": (path.name, path.read_bytes())},
            )["file_id"]
            for row, path in zip(rows, paths, strict=True)
        ]

    def create(self, scene: str = "slow.blend", **wishes: Any) -> str:
        """A task whose scene has been read; its id."""
        path = SCENES / scene
        if path not in self.scenes:
            self.scenes[path] = self.upload(path, SCENES / "textures" / "checker.png")[0]
        body = {"task_name": "job", "scene_file_id": self.scenes[path], **wishes}
        task: str = self.call("POST", "/tasks", json=body)["id"]
        wait_until(
            lambda: self.call("GET", f"/tasks/{task}/report")["status"] != "pending", 30, "the scene is read"
        )
        return task

    def submit(self, scene: str = "slow.blend", **wishes: Any) -> str:
        task = self.create(scene, **wishes)
        self.call("POST", f"/tasks/{task}/submit")
        return task

    def task(self, task: str) -> Any:
        return self.call("GET", f"/tasks/{task}")

    def frames(self, task: str) -> dict[int, Any]:
        return {frame["number"]: frame for frame in self.call("GET", f"/tasks/{task}/frames")["frames"]}

    def wait_for_status(self, task: str, status: str, seconds: float = 40) -> Any:
        def reached() -> Any:
            found = self.task(task)
            assert found["status_name"] == status or found["status_name"] not in FINAL, found
            return found if found["status_name"] == status else None

        return wait_until(reached, seconds, f"the task is {status}")

    def wait_for_mid_frame(self, task: str, number: int = 1, seconds: float = 30) -> dict[str, Any]:
        """The running attempt at a frame, once its renderer is at work."""

        def busy() -> dict[str, Any] | None:
            frame = self.frames(task)[number]
            if frame["status"] != "running" or not 0 < frame["progress"] < 80:
                assert frame["status"] != "done", "the frame was rendered before anything could happen"
                return None
            return next(row for row in reversed(self.farm.attempts(task)) if row["number"] == number)

        wait_until(lambda: self.task(task)["status_name"] == "rendering", seconds, "the task renders")
        return wait_until(busy, seconds, f"frame {number} is half rendered")

    def assert_charged_once(self, task: str, frames: int) -> None:
        """One bill, one consumption, nothing held, and a ledger that adds up to the wallet."""
        cost = 0.5 * frames
        bills = [bill for bill in self.call("GET", "/users/bills")["bills"] if bill["task_id"] == task]
        spent = [
            entry["amount"]
            for entry in self.call("GET", "/users/transactions")["transactions"]
            if entry["task_id"] == task and entry["type"] == "consume"
        ]
        assert [bill["amount"] for bill in bills] == ([cost] if frames else [])
        assert spent == ([-cost] if frames else [])
        assert self.task(task)["actual_cost"] == cost
        assert self.call("GET", "/users/balance")["held"] == 0
        audit = """
            SELECT w.balance, w.held, w.sequence, sum(e.amount) AS amount, sum(e.held_delta) AS delta, count(*)
              FROM billing_wallet w JOIN billing_ledgerentry e ON e.wallet_id = w.id
             WHERE w.user_id = %s AND w.currency = 'CNY' GROUP BY w.id"""
        [wallet] = self.farm.ask(audit, self.id)
        assert (wallet["amount"], wallet["delta"], wallet["count"]) == (
            wallet["balance"],
            wallet["held"],
            wallet["sequence"],
        )
        done = [row["number"] for row in self.farm.attempts(task) if row["status"] == "succeeded"]
        outputs = self.call("GET", f"/tasks/{task}/outputs")["outputs"]
        assert len(done) == len(set(done)) == len(outputs) == frames

    @contextmanager
    def listening(self, since: str = "") -> Iterator["Ear"]:
        ear = Ear(self, since)
        try:
            yield ear
        finally:
            ear.close()


class Ear:
    """What arrives at a socket of an artist, each with the moment of its arrival (time.time())."""

    def __init__(self, artist: Artist, since: str = "") -> None:
        self.heard: list[tuple[float, dict[str, Any]]] = []
        address = artist.farm.base.replace("http://", "ws://") + f"/ws?token={artist.token}"
        self.socket = connect(address + (f"&since={since}" if since else ""), proxy=None)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        wait_until(lambda: self.heard, 10, "the socket greets")

    def listen(self) -> None:
        try:
            for text in self.socket:
                self.heard.append((time.time(), json.loads(text)))
        except ConnectionClosed:
            return

    def close(self) -> None:
        self.socket.close()
        self.thread.join(5)

    def events(self, name: str, task: str) -> list[tuple[float, dict[str, Any]]]:
        return [
            (moment, message["data"])
            for moment, message in self.heard
            if message["event"] == name and message["data"]["task_id"] == task
        ]

    def statuses(self, task: str) -> list[str]:
        return [data["status"] for _moment, data in self.events("task:status", task)]

    def last_revision(self) -> str:
        revisions = [message["revision"] for _moment, message in self.heard if "revision" in message]
        return revisions[-1]

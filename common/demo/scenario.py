"""The steps of the demo: register, recharge, upload, submit, watch, download, pay."""

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.demo.client import Client, DemoError, LocalFile
from common.demo.scene_files import local_files_of

RECHARGE = 10
FINAL = ("completed", "failed", "cancelled")


class Demo:
    """One run of the main job against a platform at `base`."""

    def __init__(self, base: str, var: Path, tell: Callable[[str], None]) -> None:
        self.client, self.var, self.tell = Client(base), var, tell
        self.live: list[dict[str, Any]] = []

    async def run(self, scene: Path, frames: str) -> None:
        """Do the whole job; raises DemoError at the first step that is not real."""
        await self.sign_up()
        scene_file = await self.upload_scene(scene)
        task = await self.create_task(scene, scene_file, frames)
        before = await self.client.call("GET", "/users/balance")
        async with asyncio.timeout(3600):
            task = await self.render(task)
        folder = await self.fetch_frames(task)
        await self.show_bill(task, before)
        self.tell(f"Done. The frames lie in {folder}")

    def step(self, text: str) -> None:
        self.tell(f"\n== {text}")

    async def sign_up(self) -> None:
        self.step("Register with a phone code")
        phone = f"139{secrets.randbelow(10**8):08d}"
        user = await self.client.register(phone, self.var / "outbox", secrets.token_urlsafe(18))
        self.tell(f"user {user['username']}, trial credit {user['balance']:.2f} CNY")
        await self.recharge()
        await self.client.wait_for(
            f"waiting for a render node with Blender (its log: {self.var / 'logs' / 'node.log'})",
            "/engines",
            lambda found: any(engine["name"] == "blender" for engine in found["engines"]),
            seconds=60,
        )

    async def recharge(self) -> None:
        """Order, pay at the stand-in of WeChat Pay, and see that its notice has brought the money."""
        self.step("Recharge: an order, paid at the stand-in of WeChat Pay")
        before = await self.client.call("GET", "/users/balance")
        body = {"amount": RECHARGE, "channel": "wechat"}
        order = await self.client.call("POST", "/billing/recharges", expect=201, json=body)
        self.tell(f"order {order['order_no']}, {order['amount']:.2f} CNY, pay at {order['code_url']}")
        paid = await self.client.http.post(order["code_url"])
        if paid.status_code != 200:
            raise DemoError(f"the stand-in answered {paid.status_code}")
        order = await self.client.wait_for(
            "the notice of the payment",
            f"/billing/recharges/{order['id']}",
            lambda found: found["status"] != "pending",
            seconds=60,
        )
        after = await self.client.call("GET", "/users/balance")
        if order["status"] != "paid" or round(after["balance"] - before["balance"], 2) != RECHARGE:
            raise DemoError(f"the order is {order['status']}, the balance went from {before} to {after}")
        self.tell(f"paid by {order['transaction_no']}, balance {after['balance']:.2f} CNY")

    async def upload_scene(self, scene: Path) -> dict[str, Any]:
        self.step(f"Upload the scene {scene.name} ({scene.stat().st_size:,} bytes)")
        results = await self.client.upload(
            f"Scene {scene.stem}", [LocalFile(scene, f"/projects/{scene.stem}")]
        )
        self.tell(f"file {results[0]['file_id']}, sha256 {results[0]['sha256'][:16]}…")
        return results[0]

    async def create_task(self, scene: Path, scene_file: dict[str, Any], frames: str) -> dict[str, Any]:
        self.step("Create the task; the platform reads the scene")
        body = {"task_name": f"Demo {scene.stem}", "scene_file_id": scene_file["file_id"], "frames": frames}
        task = await self.client.call("POST", "/tasks", expect=201, json=body)
        report = await self.report_of(task)
        data = report["data"]
        self.tell(
            f"{data['renderer']}, frames {data['frame_start']}-{data['frame_end']}, {data['width']}x{data['height']}, "
            f"{len(report['assets'])} files named"
        )
        sent: set[str] = set()
        while report["missing"]:
            files = {
                file.path: file
                for asset in report["missing"]
                for file in local_files_of(asset, scene)
                if str(file.path) not in sent
            }
            if not files:
                missing = ", ".join(asset["path"] for asset in report["missing"])
                raise DemoError(f"the scene needs files that are not on this machine: {missing}")
            self.step(f"Upload what the scene needs: {len(files)} files")
            for result in await self.client.upload(f"Files of {scene.stem}", list(files.values())):
                self.tell(f"{result['oss_key']} ({result['file_size']:,} bytes)")
            sent |= {str(path) for path in files}
            report = await self.report_of(task)
        estimate = await self.client.call("GET", f"/tasks/{task['id']}/estimate")
        self.tell(
            f"{estimate['frames']} frames at {estimate['unit_price']:.2f} CNY: {estimate['estimated_cost']:.2f} CNY; "
            f"available {estimate['available']:.2f} CNY"
        )
        return task

    async def report_of(self, task: dict[str, Any]) -> dict[str, Any]:
        path = f"/tasks/{task['id']}/report"
        report = await self.client.wait_for(
            "reading the scene", path, lambda found: found["status"] != "pending"
        )
        if report["status"] != "ready":
            raise DemoError(f"the scene was refused: {report['failure_code']} {report['message']}")
        return report

    async def render(self, task: dict[str, Any]) -> dict[str, Any]:
        self.step("Submit and watch")
        ready = asyncio.Event()
        watcher = asyncio.create_task(self.watch(task["id"], ready))
        await asyncio.wait_for(ready.wait(), 30)
        started = time.monotonic()
        submitted = await self.client.call("POST", f"/tasks/{task['id']}/submit", expect=202)
        money = await self.client.call("GET", "/users/balance")
        self.tell(f"task {submitted['id']}: {submitted['status_name']}, {money['held']:.2f} CNY held")
        await watcher
        task = await self.client.call("GET", f"/tasks/{task['id']}")
        if task["status_name"] != "completed":
            raise DemoError(
                f"the task is {task['status_name']}: {task['failure_code']} {task['error_message']}"
            )
        live = [event for event in self.live if "frame_progress" in event]
        if not live:
            raise DemoError("no progress arrived while frames were rendering")
        self.tell(
            f"{task['done_frames']} frames in {time.monotonic() - started:.1f} s, "
            f"{len(live)} live events while they were rendering"
        )
        return task

    async def watch(self, task_id: str, ready: asyncio.Event) -> None:
        async with contextlib.aclosing(self.client.events()) as events:
            async for event in events:
                data = event["data"]
                if event["event"] == "connection:established":
                    ready.set()
                if data.get("task_id") != task_id:
                    continue
                if event["event"] == "task:progress":
                    self.live.append(data)
                    self.tell(progress_line(data))
                elif event["event"] == "task:log":
                    self.tell(f"   {data['message']}")
                elif event["event"] == "task:status" and data["status"] in (*FINAL, "draft"):
                    return

    async def fetch_frames(self, task: dict[str, Any]) -> Path:
        self.step("Download the frames")
        folder = self.var / "demo" / "frames"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        skip, digests = 0, []
        while True:
            page = await self.client.call(
                "GET", f"/tasks/{task['id']}/outputs", params={"skip": skip, "limit": 1000}
            )
            for output in page["outputs"]:
                await self.client.download(output["download_url"], folder / output["name"], output["sha256"])
                digests.append(output["sha256"])
                self.tell(f"{output['name']}  {output['width']}x{output['height']}  {output['size']:,} bytes")
            skip += len(page["outputs"])
            if skip >= page["total"]:
                break
        if len(digests) != task["total_frames"]:
            raise DemoError(f"{len(digests)} pictures for {task['total_frames']} frames")
        return folder

    async def show_bill(self, task: dict[str, Any], before: dict[str, Any]) -> None:
        self.step("The bill")
        bills = (await self.client.call("GET", "/users/bills"))["bills"]
        bill = next((bill for bill in bills if bill["task_id"] == task["id"]), None)
        after = await self.client.call("GET", "/users/balance")
        expected = round(task["done_frames"] * task["unit_price"], 2)
        if bill is None or bill["amount"] != expected:
            raise DemoError(f"a bill of {expected} CNY was expected, there is {bill}")
        if round(before["balance"] - after["balance"], 2) != expected or after["held"] != 0:
            raise DemoError(f"the balance went from {before} to {after}")
        for line in bill["lines"]:
            self.tell(f"{line['description']}: {line['quantity']:.0f} × {line['unit_price']:.2f} CNY")
        self.tell(f"charged {bill['amount']:.2f} CNY, balance {after['balance']:.2f} CNY, nothing held")


def progress_line(data: dict[str, Any]) -> str:
    share = f"frame {data['current_frame']}"
    if "frame_progress" in data:
        share += f" {data['frame_progress']:5.1f} %"
    return f"   {data['progress']:3d} %  {share}"
